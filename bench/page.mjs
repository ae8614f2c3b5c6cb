import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contenders } from './contenders/index.mjs';
import { measures } from './measures/index.mjs';
import { readPage, rowsToShow } from './results/earlier-page.mjs';
import { goalsTable } from './results/goals.mjs';
import { findPlotFile, plotsOf, RESULTS } from './results/plots.mjs';
import { sideBySide } from './results/side-by-side.mjs';
import { groupTableOf, tableOf } from './results/table.mjs';

/*
 * Makes bench/results/figures.md and its plots from what a run has written:
 *
 *   npm run bench:page -- [results.jsonl]
 *
 * docs/performance.md shows three of the plots, which are in docs/plots/.
 *
 * A file to which several runs were appended counts as one. Measures that are not in the file keep
 * their section of the page. So do measures with fewer contenders than before.
 */

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const [file = here('results.jsonl')] = process.argv.slice(2);

const lines = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
const runs = lines.filter(({ environment }) => environment);
const { cpu, cores, memoryGb, system, node, packages } = runs[runs.length - 1].environment;
const machine = `${cores} cores of ${cpu}, ${memoryGb} GB`;
const target = join(RESULTS, 'figures.md');
const earlier = readPage(existsSync(target) ? readFileSync(target, 'utf8') : '', machine);

let run = 0;
/** @type {import('./results/table.mjs').Row[]} */
const measured = lines
  .map((line) => ({ ...line, run: line.environment ? (run += 1) : run }))
  .filter(({ value }) => Number.isFinite(value));
const all = rowsToShow(earlier, measures, measured);
const rows = sideBySide(all);

const plots = plotsOf(measures, rows);
mkdirSync(join(RESULTS, 'plots'), { recursive: true });
plots.forEach((svg, name) => writeFileSync(findPlotFile(name), svg));
writeFileSync(target, page());
console.log(`${target}, ${plots.size} plots`);

function page() {
  return [
    '# Figures of the benchmark',
    '',
    '`npm run bench:page` writes this page from the results of a run. [Performance](../../docs/performance.md) explains the measures and',
    'the contenders.',
    '',
    ...surroundings(),
    '',
    '- **ours is**: how many times faster this queue is on the same kind of database, with its best settings. Contenders with default',
    '  options are compared with our default options.',
    '- **Node s**, **server s**: CPU time for 100,000 jobs.',
    '- **WAL bytes**: what PostgreSQL writes to its log for each job.',
    '- **MB**: peak memory of the busiest process.',
    '- **wait**: from the call of `enqueue` to the first line of the handler.',
    '- **fell behind**: the waits grew without end. The rate is the number of jobs that the queue started in a second.',
    '- **server** beside a number of transactions: as counted by PostgreSQL, which adds one for each listening session and',
    '  notification.',
    '',
    goalsTable(all, earlier.goals) ?? '',
    '',
    ...measures.flatMap(sectionOf),
    '### Options that are not defaults',
    '',
    '| contender | options |',
    '|---|---|',
    ...contenders.flatMap(({ name, options }) =>
      rows.some((row) => row.contender === name)
        ? [`| ${name} | ${describe(options)} |`]
        : (earlier.options.get(name) ?? []),
    ),
    '',
  ]
    .join('\n')
    .replace(/\n{3,}/g, '\n\n');
}

/** The machine and the servers. */
function surroundings() {
  const servers = new Map(earlier.servers);
  for (const { stage, ...facts } of lines.filter((line) => line.stage)) {
    servers.set(stage, `- ${stage} ${describe(facts)}`);
  }
  return [
    `- ${machine}, ${system}`,
    `- Node ${node}`,
    `- ${Object.entries(packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    ...servers.values(),
  ];
}

/** @param {import('./measures/index.mjs').Measure} measure @param {number} index */
function sectionOf(measure, index) {
  const { group, title } = measure;
  if (group !== undefined && measures[index + 1]?.group === group) return [];
  const steps = group === undefined ? [measure] : measures.filter((one) => one.group === group);
  const text = group === undefined ? tableOf(measure, rows) : groupTableOf(steps, rows);
  const kept = earlier.sections.get(title);
  if (text === undefined) return kept === undefined ? [] : [kept, ''];
  const name = group ?? measure.name;
  const plot = plots.has(name) ? ['', `![${title}](${relative(RESULTS, findPlotFile(name))})`] : [];
  const names = steps.map((step) => step.name);
  const [head, ...table] = text.split('\n');
  return [String(head), '', describeOrigin(name, names), ...table, ...plot, ''];
}

/** When the figures of some measures were taken, and how often. @param {string} name @param {string[]} names */
function describeOrigin(name, names) {
  const own = rows.filter(({ measure }) => names.includes(measure));
  const origins = [...new Set(own.map((row) => Number(row.run)))].map((one) => {
    const { at, commit, load, fsyncMs } = runs[one - 1].environment;
    const rounds = new Set(own.filter((row) => row.run === one).map(({ round }) => round)).size;
    return `${String(at).slice(0, 10)}, commit ${commit}, rounds: ${rounds}, load ${load[0]} before, fsync in ${fsyncMs} ms`;
  });
  return `\`${name}\`: ${origins.join('; ')}.`;
}

/** @param {Record<string, unknown>} options */
function describe(options) {
  const parts = Object.entries(options).map(
    ([name, value]) => `\`${name}\` ${typeof value === 'object' ? `\`${JSON.stringify(value)}\`` : value}`,
  );
  return parts.join(', ') || 'none';
}
