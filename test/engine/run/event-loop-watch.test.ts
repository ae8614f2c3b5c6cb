import type { Attempt } from '../../../lib/engine/run/attempt.js';
import { EventLoopWatch } from '../../../lib/engine/run/event-loop-watch.js';
import { silentLogger } from '../../../lib/core/logger.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { LostLease } from '../../../lib/store/jobs/job-records.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('the watch over the event loop', () => {
  let clock: VirtualClock;
  let warnings: string[];
  let explained: LostLease[][];
  let watch: EventLoopWatch;
  /** The ids whose rescue the table has recorded. */
  let rescued: string[];

  beforeEach(() => {
    clock = new VirtualClock();
    warnings = [];
    explained = [];
    rescued = [];
    const explainLostLeases: JobStore['explainLostLeases'] = async (losses) => {
      explained.push([...losses]);
      return losses.map(({ token }) => token.id).filter((id) => rescued.includes(id));
    };
    watch = new EventLoopWatch({
      store: { explainLostLeases } as unknown as JobStore,
      clock,
      logger: { ...silentLogger, warn: (message: string) => void warnings.push(message) },
      leaseMs: 3_000,
    });
  });

  const attemptOf = (topic: string, leaseEndsMs: number, startedAtMs?: number): Attempt =>
    ({
      ...{ id: `id of ${topic}`, topic, claim: { attempt: 2 }, mustBeProcessing: true, leaseEndsMs },
      ...{ hasStarted: startedAtMs !== undefined, startedAtMs: startedAtMs ?? NaN },
    }) as unknown as Attempt;

  const checkFor = async (ms: number, attempts: readonly Attempt[]): Promise<void> => {
    const endMs = clock.now() + ms;
    while (clock.now() < endMs) {
      await clock.advance(watch.check(attempts));
    }
  };

  it('says for how long it stood still, which handler ran, and that the lease ended', async () => {
    const attempts = [attemptOf('report', 4_000, 1_000)];
    await checkFor(1_000, attempts);
    await clock.advance(6_100);
    watch.check(attempts);
    expect(warnings).toEqual([
      "the event loop stood still for 6.1 s while 'report' ran; its lease of 3 s ended, so another process may run the job too. " +
        'Compute in a worker thread or in short parts, or raise the option lease',
    ]);
    watch.check(attempts);
    await checkFor(1_000, attempts);
    expect(warnings).toHaveLength(1);
  });

  it('counts from the start of the handler, not from an earlier check', async () => {
    watch.check([]);
    await clock.advance(400);
    const attempts = [attemptOf('report', 3_400, 400)];
    await clock.advance(4_000);
    watch.check(attempts);
    expect(warnings).toEqual([expect.stringMatching(/^the event loop stood still for 4 s while 'report' ran/)]);
  });

  it('warns when a lease nearly ended, and not when it was renewed in time', async () => {
    const attempts = ['a', 'b', 'a'].map((topic) => attemptOf(topic, 10_000, 0));
    await checkFor(1_000, attempts);
    await clock.advance(1_000);
    watch.check(attempts);
    expect(warnings).toEqual([]);
    await clock.advance(2_000);
    watch.check(attempts);
    expect(warnings).toEqual([
      expect.stringMatching(
        /stood still for 2 s while 'a', 'b' ran; a lease of 3 s nearly ended before it was renewed\./,
      ),
    ]);
    await watch.explainLosses();
    expect(explained).toEqual([]);
  });

  it('is silent while no job is at stake', async () => {
    await checkFor(1_000, []);
    await clock.advance(60_000);
    watch.check([]);
    expect(warnings).toEqual([]);
  });

  it('explains lost leases once their rescue is recorded, and gives up after a while', async () => {
    const attempts = [attemptOf('report', 3_000, 0), attemptOf('waiting', 3_000), attemptOf('other', 90_000, 0)];
    watch.check(attempts);
    await clock.advance(5_000);
    watch.check(attempts);
    await watch.explainLosses();
    const reason = "the event loop of this worker stood still for 5 s while 'report', 'other' ran";
    expect(explained).toEqual([
      ['report', 'waiting'].map((topic) => ({ token: { id: `id of ${topic}`, attempt: 2 }, reason })),
    ]);
    rescued = ['id of report'];
    await watch.explainLosses();
    for (let tries = 0; tries < 20; tries += 1) {
      await watch.explainLosses();
    }
    expect(explained.map((losses) => losses.length)).toEqual([2, 2, 1, 1, 1, 1]);
  });
});
