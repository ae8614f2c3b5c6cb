/** @never typeorm-0.3 */

import { Client } from 'pg';
import { QueueUnavailableError } from '../../../lib/core/errors.js';
import type { Claim } from '../../../lib/core/job.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { CLAIM } from '../../../lib/store/jobs/claim.postgres.js';
import { claim, claimMany, insertMany, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const SIZE = 5;

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('pipelined statements on $label', (kind) => {
  const fixture = useStore(kind);

  const claimSome = (store: JobStore = fixture.store): Promise<Claim[]> => claim(store, { limit: SIZE });
  const complete = (claims: readonly Claim[], store = fixture.store): ReturnType<JobStore['settle']> =>
    store.settle(claims.map((each) => settlement(each, outcomes.completed())));
  const toIds = (claims: readonly Claim[]): string[] => claims.map(({ id }) => id);

  /** Finds sessions of the queue in which a claim waits for a lock. */
  const findWaitingClaims = (): Promise<{ pid: number }[]> =>
    fixture.sql(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nestjs-jobs'
       AND wait_event_type = 'Lock' AND query LIKE '%attempt = attempt + 1%'`,
    );

  /** Records the connection of each claim from now on. */
  function spyOnClaims(): { clients(): unknown[] } {
    const spy = jest.spyOn(Client.prototype, 'query');
    const isClaim = ([query]: readonly unknown[]): boolean => (query as { text?: string }).text === CLAIM;
    return {
      clients: (): unknown[] =>
        spy.mock.contexts.filter((_: unknown, index) => isClaim(spy.mock.calls[index]!)) as unknown[],
    };
  }

  afterEach(() => jest.restoreAllMocks());

  /** Locks the table so that no claim returns. Resolves to a function that releases it. */
  async function holdTable(): Promise<() => Promise<void>> {
    const transaction = await fixture.begin();
    await transaction.manager.query('LOCK TABLE _jobs');
    return () => transaction.rollback();
  }

  it('are sent on one connection before the previous one has returned', async () => {
    expect(fixture.store.capabilities.pipelined).toMatchObject({ atOnce: 2 });
    const ids = await insertMany(fixture.store, 3 * SIZE);
    await claimSome();
    const sent = spyOnClaims();
    const letGo = await holdTable();
    const both = [claimSome(), claimSome()];
    await until(() => sent.clients().length === 2, { message: 'two claims that are sent' });
    expect(new Set(sent.clients()).size).toBe(1);
    await letGo();
    expect((await Promise.all(both)).flatMap(toIds)).toEqual(ids.slice(SIZE));
  });

  it('wait for the previous result until the connection has prepared the statement', async () => {
    const { store } = await fixture.openAnother();
    const ids = await insertMany(fixture.store, 3 * SIZE);
    const sent = spyOnClaims();
    const letGo = await holdTable();
    const both = [claimSome(store), claimSome(store)];
    await until(() => sent.clients().length > 0, { message: 'a claim that is sent' });
    await fixture.untilLockWait();
    expect(sent.clients()).toHaveLength(1);
    await letGo();
    expect((await Promise.all(both)).flatMap(toIds)).toEqual(ids.slice(0, 2 * SIZE));
    expect(new Set(sent.clients()).size).toBe(1);
  });

  it('are at most two and stay in order', async () => {
    const ids = await insertMany(fixture.store, 6 * SIZE);
    await claimSome();
    const sent = spyOnClaims();
    const letGo = await holdTable();
    const claims = Array.from({ length: 5 }, () => claimSome());
    await until(() => sent.clients().length === 2, { message: 'two claims that are sent' });
    await fixture.untilLockWait();
    expect(sent.clients()).toHaveLength(2);
    await letGo();
    expect((await Promise.all(claims)).flatMap(toIds)).toEqual(ids.slice(SIZE));
    expect(new Set(sent.clients()).size).toBe(1);
  });

  it('succeed when the previous one fails', async () => {
    const claims = await claimMany(fixture.store, 3 * SIZE);
    await complete(claims.slice(0, SIZE));
    const [held] = claims.slice(SIZE);
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT 1 FROM _jobs WHERE id = $1 FOR UPDATE', [held!.id]);
    const settled = await Promise.all([complete(claims.slice(SIZE, 2 * SIZE)), complete(claims.slice(2 * SIZE))]);
    await transaction.rollback();
    const applied = settled.map((answers) => answers.filter((answer) => answer.applied).length);
    expect(applied).toEqual([SIZE - 1, SIZE]);
    expect(await complete([held!])).toMatchObject([{ applied: true }]);
  });

  it('all fail when their connection ends, and the next one gets another connection', async () => {
    await insertMany(fixture.store, 4 * SIZE);
    await claimSome();
    const letGo = await holdTable();
    const both = Promise.allSettled([claimSome(), claimSome()]);
    await fixture.untilLockWait();
    const [session] = await findWaitingClaims();
    await fixture.sql(`SELECT pg_terminate_backend(${session!.pid})`);
    for (const result of await both) {
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(QueueUnavailableError) as unknown });
    }
    await letGo();
    expect(await claimSome()).toHaveLength(SIZE);
    expect(await claimSome()).toHaveLength(SIZE);
  });

  it('leave a connection to other statements, even in a pool of one', async () => {
    const { store } = await fixture.openAnother({ connections: 1 });
    await insertMany(fixture.store, 200);
    const [owned] = await claimSome(store);
    let isOver = false;
    let answered = 0;
    const claimAll = async (): Promise<void> => {
      while (!isOver) {
        await claimSome(store);
        answered += 1;
      }
    };
    const claiming = [claimAll(), claimAll(), claimAll()];
    await until(() => answered > 20, { message: 'claims in a row' });
    const before = answered;
    expect(await store.renew([owned!], 30_000)).toMatchObject([{ state: 'held' }]);
    expect(answered - before).toBeLessThan(SIZE);
    isOver = true;
    await Promise.all(claiming);
  });

  it('fail together when there is no connection', async () => {
    const other = await fixture.openAnother();
    await other.store.close();
    for (const result of await Promise.allSettled([claimSome(other.store), claimSome(other.store)])) {
      expect(result).toMatchObject({ status: 'rejected', reason: expect.any(QueueUnavailableError) as unknown });
    }
  });
});
