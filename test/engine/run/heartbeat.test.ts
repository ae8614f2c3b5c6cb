import type { Attempt } from '../../../lib/engine/run/attempt.js';
import { Heartbeat } from '../../../lib/engine/run/heartbeat.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { StatementCancelledError } from '../../../lib/core/errors.js';
import { HELD } from '../../support/job-rows.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { logParts } from '../../support/unit/log-parts.js';

describe('the heartbeat', () => {
  let heartbeat: Heartbeat;

  beforeEach(() => {
    const parts = { store: {} as JobStore, ...logParts(new VirtualClock()), random: Math.random };
    heartbeat = new Heartbeat({ ...parts, leaseMs: 3_000 });
  });

  const track = (id: string): Attempt => {
    const attempt = { id } as Attempt;
    heartbeat.track(attempt);
    return attempt;
  };
  const tracked = (): string[] => heartbeat.attempts.map(({ id }) => id).sort();

  it('tracks attempts until they are untracked, in any order', () => {
    const [first, second, third, fourth] = ['a', 'b', 'c', 'd'].map(track);
    heartbeat.untrack(first!);
    expect(tracked()).toEqual(['b', 'c', 'd']);
    heartbeat.untrack(fourth!);
    expect(tracked()).toEqual(['b', 'c']);
    heartbeat.track(first!);
    heartbeat.untrack(second!);
    expect(tracked()).toEqual(['a', 'c']);
    [third!, first!].forEach((attempt) => heartbeat.untrack(attempt));
    expect(tracked()).toEqual([]);
  });

  it('keeps the others when an attempt is untracked twice', () => {
    const [first, second] = ['a', 'b'].map(track);
    heartbeat.untrack(first!);
    heartbeat.untrack(first!);
    expect(tracked()).toEqual(['b']);
    heartbeat.untrack(second!);
    expect(tracked()).toEqual([]);
  });

  it('tracks the right attempts over 1,000 changes', () => {
    const kept = new Set<Attempt>();
    for (let turn = 0; turn < 1_000; turn += 1) {
      if (turn % 3 === 2) {
        const [leaving] = [...kept].slice((turn * 7) % kept.size);
        kept.delete(leaving!);
        heartbeat.untrack(leaving!);
      } else {
        kept.add(track(`${turn}`));
      }
    }
    expect(new Set(heartbeat.attempts)).toEqual(kept);
    expect(heartbeat.attempts).toHaveLength(kept.size);
  });

  it('renews smaller sets after a statement that took too long, and keeps that size', async () => {
    const clock = new VirtualClock();
    const sizes: number[] = [];
    const renewed: string[] = [];
    const renew: JobStore['renew'] = async (tokens) => {
      sizes.push(tokens.length);
      if (tokens.length > 300) throw new StatementCancelledError('too long');
      renewed.push(...tokens.map(({ id }) => id));
      return tokens.map(() => HELD);
    };
    const store = { renew } as unknown as JobStore;
    heartbeat = new Heartbeat({ store, ...logParts(clock), random: () => 0, leaseMs: 3_000 });
    const ids = Array.from({ length: 1_000 }, (_, index) => `${index}`);
    ids.forEach((id) =>
      heartbeat.track({ id, claim: { id }, applyState: () => undefined, loseExpiredLease: () => undefined } as never),
    );
    heartbeat.start();
    await clock.advance(500);
    expect(sizes).toEqual([1_000, 500, 250, 250, 250, 250]);
    expect(renewed.splice(0).sort()).toEqual(ids.toSorted());
    sizes.length = 0;
    await clock.advance(500);
    expect(sizes).toEqual([250, 250, 250, 250]);
    expect(renewed.sort()).toEqual(ids.toSorted());
    await heartbeat.stop();
  });
});
