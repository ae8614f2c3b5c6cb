import type { JobStore } from '../../lib/store/job-store.js';
import type { ScanTiming } from '../../lib/store/jobs/job-records.js';
import { overrideStore } from './override-store.js';

/** A store that records how an engine uses it. */
export interface WatchedStore {
  /** The store itself, for the engine. */
  readonly store: JobStore;
  /** The lower bounds of the lanes of each claim so far. */
  readonly claimBounds: (string | null)[][];
  /** The lower bound of each rescue so far. */
  readonly rescueBounds: (string | null)[];
  /** The reported duration of scans. `undefined`: the real one. */
  tookMs: number | undefined;
}

/** Records the calls of a store without changing them. */
export function watch(store: JobStore, tookMs?: number): WatchedStore {
  const setTookMs = <T extends ScanTiming>(look: T): T => ({ ...look, tookMs: watched.tookMs ?? look.tookMs });
  const verbs: Partial<JobStore> = {
    claim: (request) => {
      if (request.from === 'lanes') {
        watched.claimBounds.push(request.lanes.map(({ lowerBound }) => lowerBound));
      }
      return store.claim(request);
    },
    scan: async (gaps, lanes) => setTookMs(await store.scan(gaps, lanes)),
    rescue: async (limit, lowerBound = null) => {
      watched.rescueBounds.push(lowerBound);
      return setTookMs(await store.rescue(limit, lowerBound));
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
