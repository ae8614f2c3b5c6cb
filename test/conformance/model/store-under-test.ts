import type { ClaimToken } from '../../../lib/core/job.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { StoreFixture } from '../../support/stores.js';

/** A store, and what the commands do behind its back. */
export interface StoreUnderTest {
  readonly store: JobStore;
  empty(): Promise<unknown>;
  /** The lease of a running job ends, as if its worker had died. */
  expire(id: string): Promise<unknown>;
  /** The time has come at which a waiting job is due. */
  makeDue(id: string): Promise<unknown>;
  /** Completes a job in a transaction of the application, which then commits or not. Rejects as the transaction does. */
  completeInTransaction(token: ClaimToken, commits: boolean): Promise<void>;
}

/** What a transaction that was meant to fail rejects with. */
export const ROLLED_BACK = new Error('rolled back');

/** The store of a real database. */
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
