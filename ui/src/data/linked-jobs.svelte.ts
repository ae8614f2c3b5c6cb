import type { JobGraph } from '../../../client/index.js';
import type { GraphNode } from './blockers.js';
import { findBlocked, findBlockers } from './blockers.js';
import { Fetched } from './fetched.svelte.js';
import { live } from './live.svelte.js';
import { api } from './session.svelte.js';

export type { GraphNode };

/** The jobs that are linked with a job at any distance. */
export class LinkedJobs {
  readonly #fetched = new Fetched<JobGraph>();
  #id = $state('');
  readonly #byId = $derived(new Map(this.#fetched.data?.nodes.map((node) => [node.id, node])));
  /** The parents for which the job still waits. */
  readonly openParents: readonly GraphNode[] = $derived(
    this.#links.flatMap(({ parent_id, child_id, open }) => {
      const parent = open && child_id === this.#id ? this.#byId.get(parent_id) : undefined;
      return parent ? [parent] : [];
    }),
  );
  /** The failed and cancelled jobs at the start of the chains for which the job waits. */
  readonly blockers: readonly GraphNode[] = $derived(
    this.#fetched.data ? findBlockers(this.#fetched.data, this.#id) : [],
  );
  /** The ids of the jobs that wait for another one. */
  readonly blocked: ReadonlySet<string> = $derived(
    this.#fetched.data ? findBlocked(this.#fetched.data) : new Set<string>(),
  );
  /** Whether a job was cancelled because this one failed. */
  readonly hasCancelledChild: boolean = $derived(
    this.#links.some(
      ({ parent_id, child_id, on_parent_failure, open }) =>
        parent_id === this.#id &&
        on_parent_failure === 'cancel' &&
        !open &&
        this.#byId.get(child_id)?.status === 'cancelled',
    ),
  );

  /** `undefined` before the first response. */
  get graph(): JobGraph | undefined {
    return this.#fetched.data;
  }

  get #links(): JobGraph['links'] {
    return this.#fetched.data?.links ?? [];
  }

  /** Loads the graph of a job, and again when one of its jobs may have changed. @returns a function that stops it */
  watch(id: string): () => void {
    this.#id = id;
    const ask = (signal: AbortSignal): Promise<JobGraph> => api.graph(id, { signal });
    void this.#fetched.load(ask);
    const end = live.onChange((topics) => {
      const nodes = this.#fetched.data?.nodes ?? [];
      const isMeant = topics === null || nodes.some(({ topic }) => topic !== null && topics.includes(topic));
      if (isMeant) void this.#fetched.refresh(ask);
    });
    return () => {
      end();
      this.#fetched.stop();
    };
  }
}
