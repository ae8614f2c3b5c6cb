import { parseArgs } from 'node:util';
import { contenderNamed, contenders } from './contenders/index.mjs';
import { measures, measuresNamed } from './measures/index.mjs';

const USAGE = `npm run bench -- [options]

  --quick               small numbers, one round: three minutes
  --only a,b            these measures or groups of measures alone
  --contenders a,b      these contenders alone
  --rounds 3            rounds of each measurement; the contenders take turns
  --jobs 1000           jobs of each measurement, if a measure has more; what stands in the way shrinks with them
  --postgres 18         version of PostgreSQL, 18 or 15
  --folder /var/tmp     where databases are made; not in memory
  --out results.jsonl   where the figures go, a line each; default bench/results.jsonl, which is appended to
  --profile folder      CPU profiles of the processes
  --list                says what there is, and ends`;

const ROUNDS = 3;
/** Who takes part when there are three minutes. */
const QUICK = ['ours-pg', 'raw-pg', 'graphile-worker', 'pg-boss', 'bullmq', 'ours-sqlite', 'raw-sqlite', 'plainjob'];

/**
 * @typedef {object} Orders
 * @property {boolean} quick
 * @property {import('./measures/index.mjs').Measure[]} measures
 * @property {Set<string>} contenders
 * @property {number} rounds
 * @property {number | undefined} jobs
 * @property {string} postgres
 * @property {string | undefined} folder
 * @property {string | undefined} out
 * @property {string | undefined} profile
 */

/** What was asked for; `undefined` when it has been answered already. @param {string[]} args @returns {Orders | undefined} */
export function readCommandLine(args) {
  const text = { type: /** @type {const} */ ('string') };
  const flag = { type: /** @type {const} */ ('boolean'), default: false };
  const options = { only: text, contenders: text, rounds: text, jobs: text, postgres: text, folder: text, out: text };
  const { values } = parseArgs({ args, options: { ...options, profile: text, quick: flag, list: flag, help: flag } });
  if (values.help) return void console.log(USAGE);
  if (values.list) return void console.log(lists());

  const { quick, only, postgres = '18' } = values;
  if (postgres !== '18' && postgres !== '15') throw new Error(`expected --postgres 18 or 15, got ${postgres}`);
  const chosen = only ? only.split(',').flatMap(measuresNamed) : measures;
  const named = values.contenders?.split(',').map((name) => contenderNamed(name).name);
  const all = quick ? QUICK : contenders.map(({ name }) => name);
  return {
    quick,
    measures: quick && !only ? chosen.filter((measure) => measure.quickJobs !== undefined) : chosen,
    contenders: new Set(named ?? all),
    rounds: countOf('rounds', values.rounds) ?? (quick ? 1 : ROUNDS),
    jobs: countOf('jobs', values.jobs),
    postgres,
    folder: values.folder,
    out: values.out,
    profile: values.profile,
  };
}

function lists() {
  const known = new Map(measures.map(({ group, name, title }) => [group ?? name, title]));
  const measured = [...known].map(([name, title]) => `  ${name.padEnd(24)} ${title}`);
  const taking = contenders.map(({ name, options }) => `  ${name.padEnd(24)} ${JSON.stringify(options)}`);
  return ['Measures:', ...measured, '', 'Contenders, with the options that are not their defaults:', ...taking].join(
    '\n',
  );
}

/** @param {string} name @param {string | undefined} text @returns {number | undefined} */
function countOf(name, text) {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new Error(`expected --${name} to be a whole number from 1, got ${text}`);
  return count;
}
