import type { GraphLink, GraphNode, JobGraph } from '../../core/dependencies.js';
import { GRAPH_NODES_MAX } from '../../core/dependencies.js';
import type { Job } from '../../core/job.js';
import type { JobStore } from '../../store/job-store.js';
import { isNeverDue } from '../../store/links/link-store.js';

/** Reads what jobs wait for. */
export class JobGraphs {
  constructor(private readonly parts: { readonly store: Pick<JobStore, 'links' | 'reports'> }) {}

  /** Returns the number of parents for which each of the blocked jobs waits, by id. Reads nothing when no job can be blocked. */
  async waitingOn(jobs: readonly Job[]): Promise<ReadonlyMap<string, number>> {
    const ids = jobs.filter(isMaybeBlocked).map(({ id }) => id);
    const blocked = ids.length === 0 ? [] : await this.parts.store.links.blocked(ids);
    return new Map(blocked.map(({ id, waitingOn }) => [id, waitingOn]));
  }

  /** Returns the topics of those of the jobs that exist, by id. */
  async topics(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const jobs = ids.length === 0 ? [] : await this.parts.store.reports.summarize([...new Set(ids)]);
    return new Map(jobs.map(({ id, topic }) => [id, topic]));
  }

  /** Returns the jobs that are linked with a job at any distance, nearest first, at most 500. */
  async get(id: string): Promise<JobGraph> {
    const ids = new Set([id]);
    const links = new Map<string, GraphLink>();
    let level = [id];
    while (level.length > 0 && ids.size < GRAPH_NODES_MAX) {
      const found = await this.parts.store.links.linksOf(level, GRAPH_NODES_MAX);
      found.forEach((link) => links.set(`${link.parentId} ${link.childId}`, link));
      level = [...new Set(found.flatMap(({ parentId, childId }) => [parentId, childId]))].filter(
        (end) => !ids.has(end),
      );
      level.forEach((end) => ids.add(end));
    }
    const shown = new Set([...ids].slice(0, GRAPH_NODES_MAX));
    const rows = new Map((await this.parts.store.reports.summarize([...shown])).map((row) => [row.id, row]));
    return {
      nodes: [...shown].map((node): GraphNode => {
        const { topic = null, status = 'deleted' as const } = rows.get(node) ?? {};
        return { id: node, topic, status };
      }),
      links: [...links.values()].filter(({ parentId, childId }) => shown.has(parentId) && shown.has(childId)),
      isCut: ids.size >= GRAPH_NODES_MAX,
    };
  }
}

function isMaybeBlocked({ status, runAt }: Job): boolean {
  return status === 'pending' && isNeverDue(runAt);
}
