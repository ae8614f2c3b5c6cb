/**
 * The rows of the one table of a Markdown text that has these columns, each as its cells by column; cells of code only
 * come without their backticks.
 */
export function readMarkdownTable<Column extends string>(
  markdown: string,
  columns: readonly Column[],
): Record<Column, string>[] {
  const lines = markdown.split('\n').map(cellsOf);
  const head = lines.findIndex((cells) => cells.join('|') === columns.join('|'));
  if (head < 0) throw new Error(`no table with the columns ${columns.join(', ')}`);
  // A separator line follows the head.
  const rows = lines.slice(head + 2);
  const end = rows.findIndex((cells) => cells.length === 0);
  return rows.slice(0, end < 0 ? undefined : end).map((cells) => {
    if (cells.length !== columns.length) throw new Error(`expected ${columns.length} cells, got ${cells.join(' | ')}`);
    return Object.fromEntries(columns.map((column, index) => [column, cells[index]])) as Record<Column, string>;
  });
}

/** The cells of a row of a table; none when the line is no such row. */
function cellsOf(line: string): string[] {
  const row = /^\s*\|(.*)\|\s*$/.exec(line);
  return row ? row[1]!.split('|').map((cell) => cell.trim().replace(/^`([^`]*)`$/, '$1')) : [];
}
