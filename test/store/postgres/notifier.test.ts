import { NotificationPayload, Notifier } from '../../../lib/store/postgres/notifier.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('Notifier', () => {
  const clock = new VirtualClock();
  const topicsIn = (hint: string): unknown => new NotificationPayload().decode(hint);
  /** The topics of each hint; `undefined` is any. */
  let sent: unknown[];
  let notifier: Notifier;

  beforeEach(() => {
    sent = [];
    notifier = new Notifier(async (hint) => void sent.push(topicsIn(hint)), clock);
  });

  it('sends the first hint at once, and what comes within the window as one at its end', async () => {
    ['a', 'b', 'b'].forEach((topic) => notifier.announce([topic]));
    expect(sent).toEqual([['a']]);
    await clock.advance(5);
    expect(sent).toEqual([['a'], ['b']]);
    ['c', 'd'].forEach((topic) => notifier.announce([topic]));
    await clock.advance(5);
    expect(sent).toEqual([['a'], ['b'], ['c', 'd']]);
    await clock.advance(60_000);
    expect(sent).toHaveLength(3);
  });

  it('gives a statement a hint to take along, and rests as if it had sent it', async () => {
    expect(topicsIn(notifier.takePiggyback(['a'], false)!.payload)).toEqual(['a']);
    expect(notifier.takePiggyback(['b'], false)).toBeUndefined();
    await clock.advance(5);
    // The statement of `b` was to announce it when it had stored it, and has not.
    expect(sent).toEqual([]);
    expect(topicsIn(notifier.takePiggyback(['a', 'b'], false)!.payload)).toEqual(['a', 'b']);
    notifier.announce(['c']);
    await clock.advance(5);
    expect(sent).toEqual([['c']]);
    expect(notifier.takePiggyback([], false)).toBeUndefined();
  });

  it('gives what has gathered to a statement that begins a little later, and sends nothing itself', async () => {
    notifier.announce(['a']);
    notifier.announce(['b']);
    await clock.advance(2);
    expect(notifier.takePiggyback(['b'], true)).toBeUndefined();
    await clock.advance(1);
    // It may store nothing, and would send nothing then.
    expect(notifier.takePiggyback(['b'], false)).toBeUndefined();
    const first = notifier.takePiggyback(['b'], true)!;
    expect(topicsIn(first.payload)).toEqual(['b']);
    notifier.announce(['c']);
    await clock.advance(4);
    const second = notifier.takePiggyback(['d'], true)!;
    expect(topicsIn(second.payload)).toEqual(['c', 'd']);
    [first, second].forEach((carried) => carried.markSent());
    await clock.advance(60_000);
    expect(sent).toEqual([['a']]);
  });

  it('sends itself what a statement has taken along and has not sent soon, but nothing of its own jobs', async () => {
    notifier.announce(['a']);
    notifier.announce(['b']);
    await clock.advance(4);
    notifier.takePiggyback(['c'], true);
    await clock.advance(19);
    expect(sent).toEqual([['a']]);
    await clock.advance(1);
    expect(sent).toEqual([['a'], ['b']]);
    notifier.takePiggyback(['c'], false);
    await clock.advance(60_000);
    expect(sent).toEqual([['a'], ['b']]);
  });

  it('has one under way at a time: the next speaks for all that have come meanwhile', async () => {
    const ends: (() => void)[] = [];
    const slow = new Notifier((hint) => {
      sent.push(topicsIn(hint));
      return new Promise((resolve) => ends.push(resolve));
    }, clock);
    slow.announce(['a']);
    for (const topic of ['b', 'c', 'd']) {
      slow.announce([topic]);
      await clock.advance(1_000);
    }
    expect(sent).toEqual([['a']]);
    ends[0]!();
    await clock.advance(0);
    expect(sent).toEqual([['a'], ['b', 'c', 'd']]);
    ends[1]!();
    await clock.advance(60_000);
    expect(sent).toEqual([['a'], ['b', 'c', 'd']]);
  });

  it('sends what waits when it is to end, and nothing later', async () => {
    notifier.announce(['a']);
    notifier.announce(['b']);
    await notifier.flush();
    expect(sent).toEqual([['a'], ['b']]);
    await notifier.flush();
    await clock.advance(60_000);
    expect(sent).toEqual([['a'], ['b']]);
    expect(clock.waiting).toBe(0);
  });

  it('sends at the end what comes while it does', async () => {
    const slow = new Notifier(async (hint) => {
      sent.push(topicsIn(hint));
      await Promise.resolve();
      if (sent.length === 1) {
        slow.announce(['b']);
      }
    }, clock);
    slow.announce(['a']);
    await slow.flush();
    expect(sent).toEqual([['a'], ['b']]);
    expect(clock.waiting).toBe(0);
  });

  it('needs no timer for a hint after which none waits', () => {
    notifier.announce(['a']);
    expect(clock.waiting).toBe(0);
  });

  it('says "any" when there are more topics than a notification carries', () => {
    notifier.announce(Array.from({ length: 30 }, (_, index) => 'ß'.repeat(130) + index));
    expect(sent).toEqual([undefined]);
  });
});
