/**
 * The parts of an earlier page that remain when only some measures run again.
 *
 * @typedef {object} EarlierPage
 * @property {Map<string, string>} sections by their title
 * @property {Map<string, string[]>} goals cells of a line, by those that name the goal
 * @property {Map<string, string>} options lines, by the contender
 * @property {Map<string, string>} servers lines, by the kind of server
 */

const GOALS = 'Where the queue stands';
const OPTIONS = 'Options that are not defaults';

/** @type {EarlierPage} */
const NOTHING = { sections: new Map(), goals: new Map(), options: new Map(), servers: new Map() };

/**
 * A page shows figures of one machine, so nothing remains of a page of another machine.
 *
 * @param {string} text
 * @param {string} machine as the page names it
 * @returns {EarlierPage}
 */
export function readPage(text, machine) {
  const [head = '', ...parts] = text.split(/^(?=### )/m);
  if (!head.includes(machine)) return NOTHING;
  const sections = new Map(parts.map((part) => [part.slice(4, part.indexOf('\n')), part.trimEnd()]));
  return {
    sections,
    goals: new Map(readCells(sections.get(GOALS)).map((cells) => [buildGoalKey(cells), cells])),
    options: new Map(
      readCells(sections.get(OPTIONS)).map(([name = '', options = '']) => [name, `| ${name} | ${options} |`]),
    ),
    servers: new Map([...head.matchAll(/^- (postgres|redis|sqlite) .*$/gm)].map(([line, stage = '']) => [stage, line])),
  };
}

/**
 * Returns the rows of sections with at least as many contenders as before. Other sections remain as they are.
 *
 * @param {EarlierPage} page
 * @param {import('./table.mjs').Measure[]} measures
 * @param {import('./table.mjs').Row[]} rows
 */
export function rowsToShow({ sections }, measures, rows) {
  const titles = new Map(measures.map(({ name, title }) => [name, title]));
  const findTitle = (/** @type {import('./table.mjs').Row} */ row) => String(titles.get(row.measure));
  const fewer = new Set(
    [...new Set(rows.map(findTitle))].filter((title) => {
      const now = new Set(rows.filter((row) => findTitle(row) === title).map(({ contender }) => contender));
      return now.size < countContenders(sections.get(title));
    }),
  );
  fewer.forEach((title) => console.warn(`not replaced, because the page has more contenders: ${title}`));
  return rows.filter((row) => !fewer.has(findTitle(row)));
}

/** @param {string | undefined} section */
function countContenders(section = '') {
  const table = section.slice(section.indexOf('\n|')).trim().split('\n\n')[0];
  return readCells(table).length;
}

/** @param {string[]} cells */
export function buildGoalKey([measure, ours, by]) {
  return [measure, ours, by].join('|');
}

/** The cells of a table without its head. @param {string | undefined} section */
function readCells(section = '') {
  const lines = section.split('\n').filter((line) => line.startsWith('|'));
  return lines.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
