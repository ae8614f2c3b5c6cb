import type { Clock } from '../../../lib/core/clock.js';
import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import { Pruner } from '../../../lib/engine/maintain/pruner.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { PrunedPage, PrunePage } from '../../../lib/store/jobs/job-records.js';
import { until } from '../../support/wait.js';
import { logParts } from '../../support/unit/log-parts.js';

const PAGES = 100;
const LOOK_MS = 2;
const DAY = 86_400_000;

describe('pruner: a pass over rows that are kept', () => {
  it('works a hundredth of the time, and then waits for the next interval', async () => {
    let nowMs = 0;
    let walks = 0;
    const rests: number[] = [];
    const clock: Clock = {
      now: () => nowMs,
      schedule: (ms, wake) => {
        rests.push(ms);
        nowMs += ms;
        const timer = setImmediate(wake);
        return { cancel: () => clearImmediate(timer) };
      },
    };
    const prune = async (_: unknown, { after }: PrunePage): Promise<PrunedPage> => {
      nowMs += LOOK_MS;
      const page = Number(after) + 1;
      walks += Number(page === PAGES);
      return { ids: [], removed: 0, next: page === PAGES ? null : String(page) };
    };
    const store = { prune } as unknown as JobStore;
    const retention = { completed: DAY, failed: false, cancelled: false } as const;
    const registry = new HandlerRegistry({ topics: undefined, canRunTransactions: false });
    const declarer = { isPending: false, write: () => Promise.resolve() };
    const pruner = new Pruner({ store, ...logParts(clock), random: () => 0.5, retention, registry, declarer });
    pruner.start();
    await until(() => walks >= 2);
    await pruner.stop();
    const slice = 20 * LOOK_MS * 100;
    const walk = [slice, slice, slice, slice, 60_000];
    expect(rests.slice(0, 9)).toEqual([...walk, slice, slice, slice, slice]);
  });
});
