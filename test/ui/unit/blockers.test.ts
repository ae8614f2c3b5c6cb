import type { JobGraph } from '../../../client/index.js';
import { findBlocked, findBlockers } from '../../../ui/src/data/blockers.js';
import { mergeLimits, toLimitsDraft } from '../../../ui/src/data/limits-draft.js';

type Node = JobGraph['nodes'][number];

const node = (id: string, status: Node['status']): Node => ({ id, status, topic: id });
const link = (parent_id: string, child_id: string, open = true): JobGraph['links'][number] => ({
  parent_id,
  child_id,
  open,
  on_parent_failure: 'wait',
});

describe('what a blocked job waits for', () => {
  const graph: JobGraph = {
    nodes: [
      node('review', 'pending'),
      node('mail', 'pending'),
      node('invoice', 'failed'),
      node('sync', 'pending'),
      node('done', 'completed'),
    ],
    links: [link('mail', 'review'), link('sync', 'review'), link('invoice', 'mail'), link('done', 'review', false)],
    cut: false,
  };

  it('is the job at the start of a chain, if it has failed', () => {
    expect(findBlockers(graph, 'review').map(({ id }) => id)).toEqual(['invoice']);
    expect([...findBlocked(graph)].sort()).toEqual(['mail', 'review']);
  });

  it('is nothing if its links are closed', () => {
    expect(findBlockers(graph, 'invoice')).toEqual([]);
  });
});

describe('limits that two operators edit', () => {
  it('keep what only one of them has changed', () => {
    const before = toLimitsDraft({ concurrency: 2, per_key: 1 });
    const edited = { ...before, perKey: 4 };
    const now = toLimitsDraft({ concurrency: 3, per_key: 1, rate: { limit: 9, per: 1_000, per_key: false } });
    expect(mergeLimits(before, edited, now)).toEqual({ ...now, perKey: 4 });
  });
});
