import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findPlotFile, RESULTS } from '../results/plots.mjs';
import { grid, number } from '../results/table.mjs';
import { drawTimeline } from '../results/timeline.mjs';
import { recoveryTable } from './tables.mjs';
import { readValues } from './verdict.mjs';
import { median } from '../results/statistics.mjs';

/** @typedef {import('./sampler.mjs').Sample} Sample */
/** @typedef {ReturnType<typeof import('./verdict.mjs').measureGrowth>} Growth */
/** @typedef {ReturnType<typeof import('./verdict.mjs').measureRecovery>} Recovery */

/**
 * @typedef {object} Run
 * @property {string} contender
 * @property {any} orders
 * @property {any} environment
 * @property {any} stage
 * @property {Record<string, unknown>} options
 * @property {Sample[]} samples
 * @property {{ jobs: number, lost: number, repeated: number }} check
 * @property {Growth} growth
 * @property {Recovery} [recovery]
 */

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** The plots, and the value of a sample that each shows. @type {{ name: string, title: string, unit: string, value: (sample: Sample) => number }[]} */
const PLOTS = [
  { name: 'p99', title: 'p99 from enqueue to handler', unit: 'ms', value: ({ p99Ms = NaN }) => p99Ms },
  {
    name: 'size',
    title: 'tables and indexes, or file',
    unit: 'MB',
    value: ({ tableMb, indexMb = 0, fileMb = NaN }) => (tableMb === undefined ? fileMb : tableMb + indexMb),
  },
  {
    name: 'dead',
    title: 'dead rows',
    unit: 'autovacuum has not removed them yet',
    value: ({ deadRows = NaN }) => deadRows,
  },
  { name: 'memory', title: 'memory of the worker', unit: 'MB', value: ({ workerMb }) => workerMb },
];

/**
 * Writes bench/results/soak.md and its plots from the last complete run of each contender under the same conditions. Sections without a run in
 * the file remain as they are.
 *
 * @param {string} [file]
 */
export function writeSoakPage(file = here('../soak.jsonl')) {
  const page = join(RESULTS, 'soak.md');
  const sections = readSections(readFileSync(page, 'utf8'));
  /** @type {Map<string, string>} */
  const plots = new Map();
  /** @type {Map<string, Run[]>} */
  const groups = new Map();
  for (const run of latestRuns(file)) {
    const title = describeConditions(run);
    groups.set(title, [...(groups.get(title) ?? []), run]);
  }
  groups.forEach((runs, title) => sections.set(title, buildSection(title, runs, plots).join('\n')));
  const head = [
    '# Figures of the soak test',
    '',
    '`npm run soak -- --page` writes this page from the samples of `npm run soak`. Sections without new samples remain.',
    '[Performance](../../docs/performance.md#soak-test) explains the test.',
    '',
    '- The first table of a section shows medians after the first retention period: waits, cores of CPU, and the write-ahead log.',
    '- **lost**: jobs that ran fewer times than planned. **repeated**: jobs that ran more times.',
    '- The second table compares two periods as long as the retention. A number in parentheses is a growth of more than 5 %.',
    '- If another session holds a snapshot, both periods are before it. The first table includes the time of the snapshot. Plots show this time in grey.',
    '',
  ];
  mkdirSync(join(RESULTS, 'plots'), { recursive: true });
  plots.forEach((svg, name) => writeFileSync(findPlotFile(name), svg));
  writeFileSync(page, [...head, ...sections.values()].join('\n'));
  console.log(`bench/results/soak.md, ${plots.size} plots`);
}

/** @param {string} text @returns {Map<string, string>} the sections of the page by their title */
function readSections(text) {
  const [, ...parts] = text.split(/^(?=## )/m);
  return new Map(parts.map((part) => [part.slice(3, part.indexOf('\n')), part]));
}

/** @param {string} file @returns {Run[]} */
function latestRuns(file) {
  /** @type {Map<string, any>} */
  const runs = new Map();
  for (const text of readFileSync(file, 'utf8').trim().split('\n')) {
    const { run, sample, ...line } = JSON.parse(text);
    const known = runs.get(run) ?? { samples: [] };
    if (sample) known.samples.push(sample);
    runs.set(run, { ...known, ...line });
  }
  const complete = [...runs.values()].filter(({ growth }) => growth);
  return [...new Map(complete.map((run) => [`${run.contender} ${describeConditions(run)}`, run])).values()];
}

/** @param {Run} run @returns {string} the title of its section */
function describeConditions({ stage, orders: { autovacuum, snapshotSeconds, together } }) {
  if (!stage.fsync) return 'SQLite';
  const held = snapshotSeconds > 0 ? `, a snapshot held for ${minutes(snapshotSeconds)}` : '';
  const vacuum = autovacuum === 'advised' ? 'advised autovacuum' : 'autovacuum at its defaults';
  return `PostgreSQL, ${vacuum}${held}${together ? ', queues at the same time' : ''}`;
}

/** @param {number} seconds */
function minutes(seconds) {
  const value = Math.round((seconds / 60) * 10) / 10;
  return `${value} ${value === 1 ? 'minute' : 'minutes'}`;
}

/** @param {string} title @param {Run[]} runs @param {Map<string, string>} plots */
function buildSection(title, runs, plots) {
  const prefix = `soak-${title.toLowerCase().replace(/\W+/g, '-')}`;
  const [{ samples, environment, orders, stage }] = runs;
  const held = samples.filter(({ isHeld }) => isHeld).map(({ seconds }) => seconds);
  const marks = held.length > 0 ? { from: Math.min(...held), to: Math.max(...held) } : undefined;
  const drawn = PLOTS.flatMap(({ name, value, ...plot }) => {
    const lines = runs
      .map(({ contender, samples: own }) => ({
        name: contender,
        points: own
          .map((sample) => ({ seconds: sample.seconds, value: value(sample) }))
          .filter((point) => Number.isFinite(point.value)),
      }))
      .filter(({ points }) => points.length > 0);
    if (lines.length === 0) return [];
    plots.set(`${prefix}-${name}`, drawTimeline({ ...plot, lines, held: marks }));
    return [`![${plot.title}](${relative(RESULTS, findPlotFile(`${prefix}-${name}`))})`, ''];
  });
  return [
    `## ${title}`,
    '',
    `Commit ${environment.commit}, ${String(environment.at).slice(0, 10)}, ${environment.cores} cores of ${environment.cpu}, ` +
      `load ${environment.load[0]} before, Node ${environment.node}, ${stage.fsync ? 'PostgreSQL' : 'SQLite'} ${stage.version}. ` +
      `${orders.rate} jobs a second, retention of ${minutes(orders.retentionSeconds)}.`,
    '',
    ...summary(runs),
    '',
    ...growth(runs),
    '',
    ...runs.flatMap(({ contender, recovery }) =>
      recovery ? [`Recovery of ${contender}:`, '', recoveryTable(recovery), ''] : [],
    ),
    ...drawn,
  ];
}

/** Medians of the run after the first retention period. @param {Run[]} runs */
function summary(runs) {
  const lines = runs.map(({ contender, orders, samples, check }) => {
    const counted = samples.filter(({ seconds }) => seconds > orders.retentionSeconds);
    const of = (/** @type {keyof Sample} */ key) => {
      const values = readValues(counted, key);
      return values.length > 0 ? number(median(values)) : '';
    };
    return [
      contender,
      number(orders.seconds / 60),
      check.jobs.toLocaleString('en-US'),
      String(check.lost),
      String(check.repeated),
      ...['rate', 'p50Ms', 'p99Ms', 'serverCores', 'workerCores', 'producerCores', 'walMbPerSecond'].map((key) =>
        of(/** @type {keyof Sample} */ (key)),
      ),
    ];
  });
  const head = [
    '',
    'minutes',
    'jobs',
    'lost',
    'repeated',
    'jobs/s',
    'p50 ms',
    'p99 ms',
    'server',
    'worker',
    'producer',
    'WAL MB/s',
  ];
  return grid([head, ...lines]);
}

/** A line for each quantity, a column for each contender: second period → last period, growth. @param {Run[]} runs */
function growth(runs) {
  const keys = new Map(runs.flatMap((run) => run.growth.map(({ key, title }) => [key, title])));
  const lines = [...keys].map(([key, title]) => [
    title,
    ...runs.map((run) => {
      const found = run.growth.find((one) => one.key === key);
      if (!found) return '';
      return `${number(found.second)} → ${number(found.last)}${found.isWithin ? '' : ` (+${Math.round(found.growth * 100)} %)`}`;
    }),
  ]);
  return grid([['second period → last period', ...runs.map(({ contender }) => contender)], ...lines]);
}
