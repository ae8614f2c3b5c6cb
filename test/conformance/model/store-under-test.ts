import type { ClaimToken } from '../../../lib/core/job.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { StoreFixture } from '../../support/stores.js';

/** A store with the operations that commands perform directly on its database. */
export interface StoreUnderTest {
  readonly store: JobStore;
  empty(): Promise<unknown>;
  /** Expires the lease of a running job, as if its worker had died. */
  expire(id: string): Promise<unknown>;
  /** Makes a waiting job due. */
  makeDue(id: string): Promise<unknown>;
  /** Completes a job in a transaction of the application that commits or rolls back. Rejects as the transaction does. */
  completeInTransaction(token: ClaimToken, commits: boolean): Promise<void>;
}

/** The error of a transaction that rolls back on purpose. */
export const ROLLED_BACK = new Error('rolled back');

/** Wraps the store of a real database. */
export function realStore(fixture: StoreFixture): StoreUnderTest {
  return {
    store: fixture.store,
    async empty() {
      await fixture.sql('DELETE FROM _jobs');
      await fixture.sql('DELETE FROM _jobs_topics');
    },
    expire: (id) => fixture.expire(id),
    makeDue: (id) => fixture.set(id, { run_at: { msFromNow: -1 } }),
    completeInTransaction: (token, commits) =>
      fixture.app.transaction(async (manager) => {
        await fixture.store.completeTx(manager, token, null);
        if (!commits) throw ROLLED_BACK;
      }),
  };
}
