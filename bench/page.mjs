import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contenders } from './contenders/index.mjs';
import { measures } from './measures/index.mjs';
import { goalsTable } from './results/goals.mjs';
import { plotsOf } from './results/plots.mjs';
import { sideBySide } from './results/side-by-side.mjs';
import { groupTableOf, tableOf } from './results/table.mjs';

/*
 * Makes the page of figures and its plots from what a run has written:
 *
 *   npm run bench:page -- [results.jsonl] [docs folder]
 *
 * A file to which several runs were appended counts as one.
 */

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const [file = here('results.jsonl'), docs = here('../docs')] = process.argv.slice(2);

const lines = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line));
const runs = lines.filter(({ environment }) => environment);
let run = 0;
/** @type {import('./results/table.mjs').Row[]} */
const all = lines
  .map((line) => ({ ...line, run: line.environment ? (run += 1) : run }))
  .filter(({ value }) => Number.isFinite(value));
const rows = sideBySide(all);

const plots = plotsOf(measures, rows);
mkdirSync(join(docs, 'plots'), { recursive: true });
plots.forEach((svg, name) => writeFileSync(join(docs, 'plots', `${name}.svg`), svg));
writeFileSync(join(docs, 'figures.md'), page());
console.log(`${join(docs, 'figures.md')}, ${plots.size} plots`);

function page() {
  const taking = contenders.filter(({ name }) => rows.some((row) => row.contender === name));
  return [
    '# Figures of the benchmark',
    '',
    '`npm run bench:page` writes this page from the results of a run. [Performance](performance.md) explains the measures and',
    'the contenders.',
    '',
    ...machine(),
    '',
    '- **ours is**: how many times faster this queue is on the same kind of database, with its best settings. Contenders with default',
    '  options are compared with our default options.',
    '- **Node s**, **server s**: CPU time for 100,000 jobs.',
    '- **WAL bytes**: what PostgreSQL writes to its log for each job.',
    '- **MB**: peak memory of the busiest process.',
    '',
    goalsTable(all) ?? '',
    '',
    ...measures.flatMap(sectionOf),
    '### Options that are not defaults',
    '',
    '| contender | options |',
    '|---|---|',
    ...taking.map(({ name, options }) => `| ${name} | ${describe(options)} |`),
    '',
  ]
    .join('\n')
    .replace(/\n{3,}/g, '\n\n');
}

function machine() {
  const { cpu, cores, memoryGb, system, node, packages } = runs[runs.length - 1].environment;
  const stages = new Map(lines.filter(({ stage }) => stage).map((line) => [line.stage, line]));
  const servers = [...stages.values()].map(({ stage, ...facts }) => `${stage} ${describe(facts)}`);
  return [
    ...runs.map(
      ({ environment: { at, commit, load, fsyncMs }, command }) =>
        `- Run of ${String(at).slice(0, 10)}, commit ${commit}, load ${load[0]} before, a page on the disk in ${fsyncMs} ms: ` +
        `\`${commandOf(command)}\``,
    ),
    `- ${cores} cores of ${cpu}, ${memoryGb} GB, ${system}`,
    `- Node ${node}`,
    `- ${Object.entries(packages)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    ...servers.map((server) => `- ${server}`),
  ];
}

/** The command of a run, without options that hold paths. @param {string} command */
function commandOf(command) {
  const options = command.replace(/\s*--(out|folder|profile)[ =]\S+/g, '').trim();
  return options === '' ? 'npm run bench' : `npm run bench -- ${options}`;
}

/** @param {import('./measures/index.mjs').Measure} measure @param {number} index */
function sectionOf(measure, index) {
  const isLastOfGroup = measures[index + 1]?.group !== measure.group;
  const name = measure.group ?? measure.name;
  const plot = plots.has(name) ? ['', `![${measure.title}](plots/${name}.svg)`] : [];
  if (measure.group === undefined) return table(tableOf(measure, rows), plot);
  return isLastOfGroup
    ? table(
        groupTableOf(
          measures.filter(({ group }) => group === measure.group),
          rows,
        ),
        plot,
      )
    : [];
}

/** @param {string | undefined} text @param {string[]} plot */
function table(text, plot) {
  return text === undefined ? [] : [text, ...plot, ''];
}

/** @param {Record<string, unknown>} options */
function describe(options) {
  const parts = Object.entries(options).map(
    ([name, value]) => `\`${name}\` ${typeof value === 'object' ? `\`${JSON.stringify(value)}\`` : value}`,
  );
  return parts.join(', ') || 'none';
}
