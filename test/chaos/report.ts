import { countAttempts, countReattempts, countRejections } from './checker/hits.js';
import { countByPromise } from './checker/checker.js';
import type { Promised } from './checker/violation.js';
import type { RunResult } from './campaign.js';
import { isPassed } from './campaign.js';

const names = { postgres: 'PostgreSQL', sqlite: 'SQLite' };

const headings = [
  'database',
  'fault',
  'strikes',
  'hits',
  'jobs',
  'attempts',
  're-attempts',
  'refused',
  'lost',
  'double',
  'overlaps',
  'stuck',
  'dead',
  'other',
  's',
  'result',
];

const ownColumns: readonly (readonly Promised[])[] = [['lost'], ['double'], ['overlap'], ['stuck'], ['dead']];

/** One line for each run on a sound build, as a table of Markdown. */
export function formatTable(results: readonly RunResult[]): string {
  return markdown(headings, results.map(lineOf));
}

/** One line for each broken build, and by which promise it was found out. */
export function formatMutantTable(results: readonly RunResult[]): string {
  const lines = results.map((result) => {
    const { run, violations, evidence } = result;
    const found = [...countByPromise(violations)].map(([promise, count]) => `${count} ${promise}`).join(', ');
    const ending = isPassed(result) ? 'caught' : 'NOT CAUGHT';
    return [
      names[run.kind],
      run.mutant!.name,
      run.fault.name,
      found || 'nothing',
      `${Math.round(evidence.seconds)}`,
      ending,
    ];
  });
  return markdown(['database', 'mutant', 'fault', 'broken promises', 's', 'result'], lines);
}

function lineOf(result: RunResult): string[] {
  const { run, evidence, violations, hits, strikes } = result;
  const counts = countByPromise(violations);
  const own = ownColumns.map(([promise]) => counts.get(promise!) ?? 0);
  const others = violations.length - own.reduce((sum, count) => sum + count, 0);
  const ending = isPassed(result) ? 'kept' : violations.length > 0 ? 'BROKEN' : 'TOO FEW HITS';
  const numbers = [
    strikes,
    hits,
    evidence.jobs.length,
    countAttempts(evidence),
    countReattempts(evidence),
    countRejections(evidence),
  ];
  return [
    names[run.kind],
    run.fault.name,
    ...[...numbers, ...own, others, Math.round(evidence.seconds)].map((number) => number.toLocaleString('en')),
    ending,
  ];
}

function markdown(heads: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = heads.map((head, column) => Math.max(head.length, ...lines.map((line) => line[column]!.length)));
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  return [row(heads), row(widths.map((width) => '-'.repeat(width))), ...lines.map(row)].join('\n');
}
