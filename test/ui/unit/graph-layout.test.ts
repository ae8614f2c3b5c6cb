import type { GraphLayout } from '../../../ui/src/data/graph-layout.js';
import { layoutGraph, linkPath, NODE_HEIGHT, NODE_WIDTH } from '../../../ui/src/data/graph-layout.js';

/** Links as `parent>child`. */
function layout(ids: readonly string[], links: readonly string[]): GraphLayout {
  return layoutGraph(
    ids,
    links.map((link) => {
      const [parent_id, child_id] = link.split('>') as [string, string];
      return { parent_id, child_id };
    }),
  );
}

/** Number of pairs of links between the same two columns that cross. */
function countCrossings({ places }: GraphLayout, links: readonly string[]): number {
  const ends = links.map((link) => link.split('>').map((id) => places.get(id)!));
  return ends.flatMap(([from, to], index) =>
    ends.slice(index + 1).filter(([otherFrom, otherTo]) => {
      const isBeside = from!.x === otherFrom!.x && to!.x === otherTo!.x;
      return isBeside && (from!.y - otherFrom!.y) * (to!.y - otherTo!.y) < 0;
    }),
  ).length;
}

describe('the layout of a graph', () => {
  it('places a job to the right of all jobs for which it waits', () => {
    const ids = ['d', 'b', 'c', 'a', 'e'];
    const links = ['a>b', 'a>c', 'b>d', 'c>d', 'a>d', 'e>d'];
    const { columns, places, width, height } = layout(ids, links);
    expect(columns.map((column) => [...column].sort())).toEqual([['a'], ['b', 'c', 'e'], ['d']]);
    for (const link of links) {
      const [parent, child] = link.split('>').map((id) => places.get(id)!);
      expect(parent!.x + NODE_WIDTH).toBeLessThan(child!.x);
    }
    for (const { x, y } of places.values()) {
      expect(x + NODE_WIDTH).toBeLessThan(width);
      expect(y + NODE_HEIGHT).toBeLessThan(height);
    }
  });

  it('lets no two jobs overlap', () => {
    const { columns, places } = layout(['a', 'b', 'c', 'd'], ['a>d', 'b>d', 'c>d']);
    const heights = columns[0]!.map((id) => places.get(id)!.y);
    expect(heights.slice(1).every((y, index) => y >= heights[index]! + NODE_HEIGHT)).toBe(true);
    // The single job of the second column is in the middle.
    expect(places.get('d')!.y).toBe(heights[1]);
  });

  it('removes crossings', () => {
    const ids = ['a', 'b', 'c', 'z', 'y', 'x'];
    const links = ['a>x', 'b>y', 'c>z', 'a>y', 'b>z'];
    expect(countCrossings(layout(ids, links), links)).toBe(0);
  });

  it('draws one job, a link to a job that is not shown, and a cycle', () => {
    expect(layout(['a'], ['a>b'])).toMatchObject({ columns: [['a']] });
    expect(layout(['a', 'b'], ['a>b', 'b>a']).places.size).toBe(2);
  });

  it('places 500 jobs with 1,000 links', () => {
    const ids = Array.from({ length: 500 }, (_, index) => String(index));
    const links = ids
      .slice(0, 250)
      .flatMap((id, index) => [1, 7, 31, 97].map((step) => `${id}>${250 + ((index * step) % 250)}`));
    const { places, columns } = layout(ids, links);
    expect(places.size).toBe(500);
    expect(columns).toHaveLength(2);
    const chain = layout(
      ids,
      ids.slice(1).map((id, index) => `${index}>${id}`),
    );
    expect(chain.columns).toHaveLength(500);
  });

  it('draws a link from edge to edge', () => {
    expect(linkPath({ x: 0, y: 0 }, { x: 300, y: 100 })).toMatch(
      new RegExp(`^M${NODE_WIDTH} ${NODE_HEIGHT / 2}C.* 300 ${100 + NODE_HEIGHT / 2}$`),
    );
  });
});
