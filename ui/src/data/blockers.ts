import type { JobGraph } from '../../../client/index.js';

type GraphNode = JobGraph['nodes'][number];

/** The jobs that hold a job up, through any number of links: those that wait for no other job. */
export interface Blockers {
  /** They have ended without success, so that only a user can help. */
  readonly ended: readonly GraphNode[];
  /** They run, or will run. */
  readonly open: readonly GraphNode[];
}

/** Returns the jobs at the start of all chains that a blocked job waits for, nearest first. */
export function findBlockers({ nodes, links }: JobGraph, id: string): Blockers {
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
  return { ended: roots.filter(hasEnded), open: roots.filter((root) => !hasEnded(root)) };
}

/** Returns the ids of the jobs that wait for another one. */
export function findBlocked({ links }: JobGraph): ReadonlySet<string> {
  return new Set(links.filter(({ open }) => open).map(({ child_id }) => child_id));
}
