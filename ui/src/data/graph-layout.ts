import type { JobGraph } from '../../../client/index.js';

export const NODE_WIDTH = 188;
export const NODE_HEIGHT = 46;
const COLUMN_GAP = 56;
const ROW_GAP = 14;
const MARGIN = 10;
/** Passes over the columns, left to right and back. More passes hardly remove crossings. */
const PASSES = 4;

type Link = Pick<JobGraph['links'][number], 'parent_id' | 'child_id'>;

/** Where the nodes of a graph are drawn: their upper left corners. */
export interface GraphLayout {
  readonly width: number;
  readonly height: number;
  readonly places: ReadonlyMap<string, { readonly x: number; readonly y: number }>;
  /** The ids of each column from top to bottom. A job is to the right of the jobs for which it waits. */
  readonly columns: readonly (readonly string[])[];
}

/**
 * Places a graph in columns, by the longest path to each node. In a column, a node stands at the mean position of its neighbours. The
 * time grows with the number of links.
 */
export function layoutGraph(ids: readonly string[], links: readonly Link[]): GraphLayout {
  const parents = neighbours(ids, links, 'child_id', 'parent_id');
  const children = neighbours(ids, links, 'parent_id', 'child_id');
  const columns = toColumns(ids, findColumns(ids, parents, children));
  sortColumns(columns, parents, children);
  const rows = Math.max(...columns.map(({ length }) => length));
  const places = new Map(
    columns.flatMap((column, index) =>
      column.map((id, row) => {
        const x = MARGIN + index * (NODE_WIDTH + COLUMN_GAP);
        const y = MARGIN + (row + (rows - column.length) / 2) * (NODE_HEIGHT + ROW_GAP);
        return [id, { x, y }] as const;
      }),
    ),
  );
  return {
    width: 2 * MARGIN + columns.length * (NODE_WIDTH + COLUMN_GAP) - COLUMN_GAP,
    height: 2 * MARGIN + rows * (NODE_HEIGHT + ROW_GAP) - ROW_GAP,
    places,
    columns,
  };
}

/** The curve of a link, from the right edge of the parent to the left edge of the child. */
export function linkPath(from: { x: number; y: number }, to: { x: number; y: number }): string {
  const [startX, startY, endX, endY] = [from.x + NODE_WIDTH, from.y + NODE_HEIGHT / 2, to.x, to.y + NODE_HEIGHT / 2];
  const bend = COLUMN_GAP * 0.6;
  return `M${startX} ${startY}C${startX + bend} ${startY} ${endX - bend} ${endY} ${endX} ${endY}`;
}

type Neighbours = ReadonlyMap<string, readonly string[]>;

function neighbours(ids: readonly string[], links: readonly Link[], of: keyof Link, to: keyof Link): Neighbours {
  const found = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const link of links) {
    if (found.has(link[to])) found.get(link[of])?.push(link[to]);
  }
  return found;
}

/** A node without parents stands directly before its first child, the others directly after their last parent. */
function findColumns(ids: readonly string[], parents: Neighbours, children: Neighbours): Map<string, number> {
  const columns = new Map(ids.map((id) => [id, 0]));
  const waiting = new Map(ids.map((id) => [id, parents.get(id)!.length]));
  const ready = ids.filter((id) => waiting.get(id) === 0);
  // The list grows while it is read. A node of a cycle would never be ready, and stay in the first column.
  for (const id of ready) {
    for (const child of children.get(id)!) {
      columns.set(child, Math.max(columns.get(child)!, columns.get(id)! + 1));
      waiting.set(child, waiting.get(child)! - 1);
      if (waiting.get(child) === 0) ready.push(child);
    }
  }
  for (const id of ids) {
    const after = children.get(id)!.map((child) => columns.get(child)!);
    if (parents.get(id)!.length === 0 && after.length > 0) columns.set(id, Math.max(0, Math.min(...after) - 1));
  }
  return columns;
}

function toColumns(ids: readonly string[], columnOf: ReadonlyMap<string, number>): string[][] {
  const columns: string[][] = Array.from({ length: Math.max(...columnOf.values()) + 1 }, () => []);
  ids.forEach((id) => columns[columnOf.get(id)!]!.push(id));
  return columns;
}

/** Sorts the nodes of each column by the mean position of their neighbours. A position is a fraction of the height of the column. */
function sortColumns(columns: readonly string[][], parents: Neighbours, children: Neighbours): void {
  const positions = new Map<string, number>();
  const place = (column: readonly string[]): void =>
    column.forEach((id, row) => positions.set(id, (row + 0.5) / column.length));
  columns.forEach(place);
  for (let pass = 0; pass < PASSES; pass += 1) {
    const isForward = pass % 2 === 0;
    const near = isForward ? parents : children;
    for (const column of isForward ? columns : [...columns].reverse()) {
      const means = new Map(column.map((id) => [id, average(near.get(id)!, positions) ?? positions.get(id)!]));
      column.sort((one, other) => means.get(one)! - means.get(other)!);
      place(column);
    }
  }
}

function average(ids: readonly string[], positions: ReadonlyMap<string, number>): number | undefined {
  return ids.length === 0 ? undefined : ids.reduce((sum, id) => sum + positions.get(id)!, 0) / ids.length;
}
