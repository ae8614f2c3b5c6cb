import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { startRestartablePostgres } from '../processes/support/restartable-postgres.js';
import { createTemporaryFolder } from '../support/temporary-folder.js';
import type { Run, Verdict } from './campaign.js';
import { isPassed, perform } from './campaign.js';
import { Dice } from './dice.js';
import { plannedMutants, plannedRuns } from './plan.js';
import { mutantTableOf, tableOf } from './report.js';

const USAGE = `npm run chaos -- [options]

  --quick        small reaches: about two minutes
  --seed <n>     repeats the choices of another campaign
  --only <text>  only faults, mutants or databases whose name contains the text
`;

const VIOLATIONS_SHOWN_MAX = 10;

/** Runs the campaign, prints its table, and fails when a promise was broken, a fault hit nothing, or a mutant got away. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string' },
      only: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
  console.log(`seed ${seed}`);
  const plan = { isQuick: values.quick, only: values.only };
  const verdicts = await performAll([...plannedRuns(plan), ...plannedMutants(plan)], new Dice(seed));
  const sound = verdicts.filter(({ run }) => !run.mutant);
  const broken = verdicts.filter(({ run }) => run.mutant);
  if (sound.length > 0) console.log(`\n${tableOf(sound)}`);
  if (broken.length > 0) console.log(`\n${mutantTableOf(broken)}`);
  console.log(`\nseed ${seed}`);
  process.exitCode = verdicts.length > 0 && verdicts.every(isPassed) ? 0 : 1;
}

async function performAll(runs: readonly Run[], dice: Dice): Promise<Verdict[]> {
  // Servers and files of the campaign go there, and with it, however it ends.
  const folder = createTemporaryFolder();
  process.env.TMPDIR = folder.path;
  const server = await startRestartablePostgres('embedded-postgres');
  try {
    const verdicts: Verdict[] = [];
    for (const run of runs) {
      console.log(
        `${run.kind}: ${run.mutant ? `mutant '${run.mutant}' under ` : ''}${run.fault.name} × ${run.reach.strikes} …`,
      );
      const verdict = await perform(run, dice, server);
      verdicts.push(verdict);
      report(verdict);
    }
    return verdicts;
  } finally {
    await server.stop();
    await folder.remove();
  }
}

function report(verdict: Verdict): void {
  const { run, hits, strikes, violations, evidence } = verdict;
  const ending = isPassed(verdict) ? 'as it should be' : 'NOT AS IT SHOULD BE';
  console.log(`  ${strikes} strikes, ${hits} ${run.fault.hitMeans}, ${Math.round(evidence.seconds)} s: ${ending}`);
  if (!run.mutant) {
    violations.slice(0, VIOLATIONS_SHOWN_MAX).forEach(({ promise, detail }) => console.log(`  ${promise}: ${detail}`));
  }
}

void main();
