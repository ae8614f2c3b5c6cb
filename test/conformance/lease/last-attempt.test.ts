/**
 * @matrix postgres-18
 * @never postgres-15, memory
 */

import type { JobEvent, JobsOptions } from 'nestjs-jobs';
import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import type { JobStore } from '../../../lib/store/job-store.js';
import { overrideStore } from '../../support/override-store.js';
import { insertMany, insertOne, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import type { Signal } from '../../support/wait.js';
import { signal, until } from '../../support/wait.js';

const LEASE_MS = 1_000;
const MANY = 40;

describe.each(storeKinds())('the last attempt of a job on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  let events: JobEvent[];
  /** Attempts whose handlers were called. */
  let runs: number[];

  async function start(
    verbs: Partial<JobStore>,
    options: JobsOptions = {},
    work = (): void => undefined,
  ): Promise<string> {
    const id = await insertOne(fixture.store, { maxRetries: 0 });
    const store = overrideStore(fixture.store, verbs);
    engine = new JobsEngine({ store, lease: LEASE_MS, pollInterval: 50, ...options });
    events = [];
    runs = [];
    engine.events.subscribe((event) => events.push(event));
    engine.register(TOPIC, ({ attempt }) => {
      runs.push(attempt);
      work();
    });
    await engine.start();
    return id;
  }

  /** Starts an attempt whose `markStarted` waits until the test releases it. */
  async function startHeld(): Promise<{ id: string; mayGo: Signal<void> }> {
    const [isAsked, mayGo] = [signal(), signal()];
    const begin: JobStore['markStarted'] = async (tokens) => {
      isAsked.resolve();
      await mayGo.promise;
      return fixture.store.markStarted(tokens);
    };
    const id = await start({ markStarted: begin });
    await isAsked.promise;
    return { id, mayGo };
  }

  const listTypes = (): string[] => events.map(({ type }) => type);

  afterEach(() => engine.close());

  it('starts only after the row is marked', async () => {
    const { id, mayGo } = await startHeld();
    expect(await fixture.job(id)).toMatchObject({ status: 'processing', attempt: 1 });
    expect(runs).toEqual([]);
    mayGo.resolve();
    await until(() => listTypes().includes('completed'));
    expect(runs).toEqual([1]);
    expect(listTypes()).toEqual(['started', 'completed']);
  });

  it('runs later when the response to its claim was lost', async () => {
    let isLost = false;
    const claim: JobStore['claim'] = async (request) => {
      const result = await fixture.store.claim(request);
      if (result.claims.length > 0 && !isLost) {
        isLost = true;
        throw new QueueUnavailableError('the connection broke', { isUncertain: true });
      }
      return result;
    };
    const id = await start({ claim });
    await until(() => listTypes().includes('completed'));
    expect(runs).toEqual([2]);
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', attempt: 2, retries: 0, errors: [] });
    expect(listTypes()).toEqual(['rescued', 'started', 'completed']);
  });

  it('returns to its position in the lane when the process stops before the row is marked', async () => {
    const { id, mayGo } = await startHeld();
    const { runAt } = await fixture.job(id);
    const closing = engine.close();
    mayGo.resolve();
    await closing;
    expect(runs).toEqual([]);
    expect(await fixture.job(id)).toMatchObject({ status: 'pending', attempt: 1, retries: 0, runAt });
  });

  it('returns to the queue and frees its slot when its row is locked', async () => {
    const busy: JobStore['markStarted'] = async (tokens) =>
      tokens.map(() => ({ state: 'locked', cancelRequested: false }));
    const id = await start({ markStarted: busy }, { concurrency: 1 });
    await until(() => listTypes().includes('released'));
    await insertOne(fixture.store);
    await until(() => listTypes().includes('completed'));
    await engine.close();
    expect(runs).toEqual([1]);
    expect(await fixture.job(id)).toMatchObject({ status: 'pending', retries: 0, errors: [] });
  });

  it('does not run when it is cancelled before the row is marked', async () => {
    const { id, mayGo } = await startHeld();
    await fixture.store.cancel([id]);
    mayGo.resolve();
    await until(() => listTypes().includes('cancelled'));
    expect(runs).toEqual([]);
    expect(listTypes()).toEqual(['cancelled']);
  });

  it('returns to the queue when the database rejects the mark, and runs later', async () => {
    let refusals = 0;
    const begin: JobStore['markStarted'] = async (tokens) => {
      refusals += 1;
      if (refusals === 1) throw new Error('a trigger says no');
      return fixture.store.markStarted(tokens);
    };
    await start({ markStarted: begin });
    await until(() => listTypes().includes('completed'));
    expect(runs).toEqual([2]);
  });

  it('runs later when the mark came after the lease had expired', async () => {
    const [isAsked, mayRenew, mayBegin] = [signal(), signal(), signal()];
    const readLeaseAge = async (of: string): Promise<number> =>
      (await fixture.now()).getTime() - (await fixture.job(of)).lockedUntil!.getTime();
    const id = await start({
      markStarted: async (tokens) => {
        isAsked.resolve();
        await mayBegin.promise;
        return fixture.store.markStarted(tokens);
      },
      renew: async (tokens, leaseMs) => {
        // A renewal that is sent this late extends the lease when it returns.
        if ((await readLeaseAge(tokens[0]!.id)) < -LEASE_MS / 4)
          throw new QueueUnavailableError('the database is away');
        await mayRenew.promise;
        return fixture.store.renew(tokens, leaseMs);
      },
      rescue: async (...args) => {
        await mayBegin.promise;
        return fixture.store.rescue(...args);
      },
    });
    await isAsked.promise;
    // The process has checked its clock before that.
    await until(async () => (await readLeaseAge(id)) > LEASE_MS / 2);
    mayRenew.resolve();
    await until(async () => (await readLeaseAge(id)) < 0);
    mayBegin.resolve();
    await until(() => listTypes().includes('completed'));
    expect(runs).toEqual([2]);
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', attempt: 2, retries: 0, errors: [] });
  });

  it('does not block the event loop when many attempts start together', async () => {
    let turn = 0;
    let isOver = false;
    const next = (): void => {
      turn += 1;
      if (!isOver) setImmediate(next);
    };
    setImmediate(next);
    const turns = new Set<number>();
    const work = (): void => {
      const endMs = performance.now() + 10;
      while (performance.now() < endMs);
      turns.add(turn);
    };
    await insertMany(fixture.store, MANY, { maxRetries: 0 });
    await start({}, { concurrency: MANY }, work);
    await engine.whenIdle().finally(() => (isOver = true));
    expect(runs).toHaveLength(MANY + 1);
    expect(turns.size).toBeGreaterThan(MANY / 4);
  });

  it('keeps its lease while the row is not marked', async () => {
    const { id, mayGo } = await startHeld();
    const first = await fixture.job(id);
    await until(async () => (await fixture.job(id)).lockedUntil! > first.lockedUntil!);
    mayGo.resolve();
    await until(() => listTypes().includes('completed'));
    expect(runs).toEqual([1]);
  });
});
