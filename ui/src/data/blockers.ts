import type { JobGraph } from '../../../client/index.js';

export type GraphNode = JobGraph['nodes'][number];

/**
 * Returns the jobs at the start of the chains that a blocked job waits for, nearest first, as far as they have ended without success: only a
 * user can help then.
 */
export function findBlockers({ nodes, links }: JobGraph, id: string): readonly GraphNode[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map<string, string[]>();
  for (const { parent_id, child_id, open } of links) {
    if (open) parents.set(child_id, [...(parents.get(child_id) ?? []), parent_id]);
  }
  const seen = new Set([id]);
  const roots: GraphNode[] = [];
  const queue = [id];
  for (const each of queue) {
    const next = parents.get(each) ?? [];
    const node = byId.get(each);
    if (next.length === 0 && each !== id && node) roots.push(node);
    for (const parent of next.filter((one) => !seen.has(one))) {
      seen.add(parent);
      queue.push(parent);
    }
  }
  const hasEnded = ({ status }: GraphNode): boolean => status === 'failed' || status === 'cancelled';
  return roots.filter(hasEnded);
}

/** Returns the ids of the jobs that wait for another one. */
export function findBlocked({ links }: JobGraph): ReadonlySet<string> {
  return new Set(links.filter(({ open }) => open).map(({ child_id }) => child_id));
}
