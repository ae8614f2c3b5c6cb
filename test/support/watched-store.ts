import type { JobStore } from '../../lib/store/job-store.js';
import type { ScanTiming } from '../../lib/store/store-records.js';
import { overrideStore } from './override-store.js';

/** A store as an engine uses it, and what a test sees of that. */
export interface WatchedStore {
  /** The store itself, for the engine. */
  readonly store: JobStore;
  /** The lower bounds of the lanes of each claim so far. */
  readonly claimBounds: (string | null)[][];
  /** The lower bound of each rescue so far. */
  readonly rescueBounds: (string | null)[];
  /** What looks say that they took, instead of the truth. `undefined`: the truth. */
  tookMs: number | undefined;
}

/** Watches a store. Nothing is changed of what it does. */
export function watch(store: JobStore, tookMs?: number): WatchedStore {
  const said = <T extends ScanTiming>(look: T): T => ({ ...look, tookMs: watched.tookMs ?? look.tookMs });
  const verbs: Partial<JobStore> = {
    claim: (request) => {
      watched.claimBounds.push(request.lanes.map(({ lowerBound }) => lowerBound));
      return store.claim(request);
    },
    scan: async (gaps, lanes) => said(await store.scan(gaps, lanes)),
    rescue: async (limit, lowerBound = null) => {
      watched.rescueBounds.push(lowerBound);
      return said(await store.rescue(limit, lowerBound));
    },
  };
  const watched: WatchedStore = {
    store: overrideStore(store, verbs),
    claimBounds: [],
    rescueBounds: [],
    tookMs,
  };
  return watched;
}
