import { JobsEngine } from '../../../lib/engine/jobs-engine.js';
import type { EnqueueOptions, Job } from '../../../lib/core/job.js';
import type { JobContext } from '../../../lib/core/job-handler.js';
import { until } from '../../support/wait.js';
import { storeKinds, useStore } from '../../support/stores.js';

const KEYS = ['a', 'b', 'c', 'd'];
const CONNECTIONS = 3;
const CALLS = 60;
const DEBOUNCE = { wait: 20, max: 100 };

interface Run {
  readonly atMs: number;
  readonly payload: unknown;
}

interface Call {
  readonly id: string;
  readonly key: string;
  readonly sinceMs: number;
}

/** Callers and workers on connections of their own. Each fourth first attempt fails and is retried. */
describe.each(storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections))(
  'concurrent calls with the same unique keys on $label',
  (kind) => {
    const fixture = useStore(kind);
    const engines: JobsEngine[] = [];
    const runs = new Map<string, Run[]>();

    beforeEach(async () => {
      runs.clear();
      for (let count = 0; count < CONNECTIONS; count += 1) {
        const { store } = await fixture.openAnother();
        const engine = new JobsEngine({ store, pollInterval: '1h', backoff: { type: 'fixed', delay: 5 } });
        const work = async ({ id, payload, attempt }: JobContext): Promise<void> => {
          runs.set(id, [...(runs.get(id) ?? []), { atMs: performance.now(), payload }]);
          await fixture.now();
          if (attempt === 1 && runs.size % 4 === 0) {
            throw new Error('once');
          }
        };
        engine.register('work', work, { concurrency: 1 });
        await engine.start();
        engines.push(engine);
      }
    });

    afterEach(() => Promise.all(engines.splice(0).map((engine) => engine.close())));

    /** Calls from all connections at once, then once more for each key. */
    const callAll = async (options: EnqueueOptions, final: unknown): Promise<Call[]> => {
      const calls: Call[] = [];
      const call = async (engine: JobsEngine, key: string, payload: unknown): Promise<void> => {
        const sinceMs = performance.now();
        const { id } = await engine.enqueue('work', payload, { ...options, uniqueKey: key });
        calls.push({ id, key, sinceMs });
      };
      await Promise.all(
        engines.map(async (engine, index) => {
          for (let count = 0; count < CALLS; count += 1) {
            await call(engine, KEYS[(count + index) % KEYS.length]!, count);
          }
        }),
      );
      for (const key of KEYS) {
        await call(engines[0]!, key, final);
      }
      return calls;
    };

    const readEnded = async (calls: readonly Call[]): Promise<Map<string, Job>> => {
      const ids = [...new Set(calls.map(({ id }) => id))];
      const jobs = await until(async () => {
        const found = await fixture.store.find(ids);
        return found.every(({ status }) => status === 'completed') ? found : undefined;
      });
      expect(jobs).toHaveLength(ids.length);
      return new Map(jobs!.map((job) => [job.id, job]));
    };

    /** Each call is followed by a first run of its job. */
    const expectRunAfter = (calls: readonly Call[]): void => {
      for (const { id, sinceMs } of calls) {
        expect(runs.get(id)![0]!.atMs).toBeGreaterThan(sinceMs);
      }
    };

    it('run once more after each call when the job frees its key at its start', async () => {
      const calls: Call[] = [];
      await until(async () => {
        calls.push(...(await callAll({ uniqueUntil: 'started' }, 'final')));
        const ids = new Set(calls.map(({ id }) => id));
        return ids.size < calls.length;
      });
      const jobs = await readEnded(calls);
      expectRunAfter(calls);
      expect([...jobs.values()].some(({ attempt }) => attempt > 1)).toBe(true);
    });

    it('run the last payload within the longest delay when they are debounced', async () => {
      const calls = await callAll({ debounce: DEBOUNCE }, 'final');
      const jobs = await readEnded(calls);
      expectRunAfter(calls);
      for (const { id } of calls.slice(-KEYS.length)) {
        expect(jobs.get(id)!.payload).toBe('final');
        expect(runs.get(id)!.map(({ payload }) => payload)).toContain('final');
      }
      const firstRuns = [...jobs.values()].filter(({ attempt }) => attempt === 1);
      for (const { runAt, created } of firstRuns) {
        expect(runAt.getTime() - created.getTime()).toBeLessThanOrEqual(DEBOUNCE.max);
      }
      expect(jobs.size).toBeLessThan(calls.length);
    });

    it('store one job in each period when they are throttled', async () => {
      const calls = await callAll({ uniqueFor: '1s' }, 'late');
      await until(async () => {
        calls.push(...(await callAll({ uniqueFor: '1s' }, 'late')));
        const ids = new Set(calls.map(({ id }) => id));
        return ids.size >= 2 * KEYS.length;
      });
      const jobs = await readEnded(calls);
      for (const key of KEYS) {
        const ids = new Set(calls.filter((call) => call.key === key).map(({ id }) => id));
        const times = [...ids].map((id) => jobs.get(id)!.created.getTime()).sort((x, y) => x - y);
        times.slice(1).forEach((time, index) => expect(time - times[index]!).toBeGreaterThanOrEqual(1_000));
      }
    });
  },
);
