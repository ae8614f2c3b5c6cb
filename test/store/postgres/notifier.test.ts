import { NotificationPayload, Notifier } from '../../../lib/store/postgres/notifier.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('Notifier', () => {
  const clock = new VirtualClock();
  const readTopics = (hint: string): unknown => new NotificationPayload().decode(hint)?.topics;
  /** The topics of each notification; `undefined` for any. */
  let sent: unknown[];
  let notifier: Notifier;

  beforeEach(() => {
    sent = [];
    notifier = new Notifier(async (hint) => void sent.push(readTopics(hint)), clock);
  });

  it('sends the first notification at once, and later ones of the window together at its end', async () => {
    ['a', 'b', 'b'].forEach((topic) => notifier.announce([topic]));
    expect(sent).toEqual([['a']]);
    await clock.advance(2);
    expect(sent).toEqual([['a'], ['b']]);
    ['c', 'd'].forEach((topic) => notifier.announce([topic]));
    await clock.advance(2);
    expect(sent).toEqual([['a'], ['b'], ['c', 'd']]);
    await clock.advance(60_000);
    expect(sent).toHaveLength(3);
  });

  it('lets a statement carry the notification, and then waits as if it had sent it', async () => {
    expect(readTopics(notifier.takePiggyback(['a'], false)!.payload)).toEqual(['a']);
    expect(notifier.takePiggyback(['b'], false)).toBeUndefined();
    await clock.advance(2);
    // The statement of `b` was to announce it after storing it, and did not.
    expect(sent).toEqual([]);
    expect(readTopics(notifier.takePiggyback(['a', 'b'], false)!.payload)).toEqual(['a', 'b']);
    notifier.announce(['c']);
    await clock.advance(2);
    expect(sent).toEqual([['c']]);
    expect(notifier.takePiggyback([], false)).toBeUndefined();
  });

  it('lets a later statement carry waiting notifications, and sends none itself', async () => {
    notifier.announce(['a']);
    notifier.announce(['b']);
    expect(notifier.takePiggyback(['b'], true)).toBeUndefined();
    await clock.advance(1);
    // This statement may store nothing, and would then send nothing.
    expect(notifier.takePiggyback(['b'], false)).toBeUndefined();
    const first = notifier.takePiggyback(['b'], true)!;
    expect(readTopics(first.payload)).toEqual(['b']);
    notifier.announce(['c']);
    await clock.advance(1);
    const second = notifier.takePiggyback(['d'], true)!;
    expect(readTopics(second.payload)).toEqual(['c', 'd']);
    [first, second].forEach((carried) => carried.markSent());
    await clock.advance(60_000);
    expect(sent).toEqual([['a']]);
  });

  it("sends carried notifications that a statement does not send in time, without the statement's own topics", async () => {
    notifier.announce(['a']);
    notifier.announce(['b']);
    await clock.advance(1);
    notifier.takePiggyback(['c'], true);
    await clock.advance(19);
    expect(sent).toEqual([['a']]);
    await clock.advance(1);
    expect(sent).toEqual([['a'], ['b']]);
    notifier.takePiggyback(['c'], false);
    await clock.advance(60_000);
    expect(sent).toEqual([['a'], ['b']]);
  });

  it('sends one notification at a time, and then one for all waiting topics', async () => {
    const ends: (() => void)[] = [];
    const slow = new Notifier((hint) => {
      sent.push(readTopics(hint));
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

  it('sends waiting notifications at close, and none later', async () => {
    notifier.announce(['a']);
    notifier.announce(['b']);
    await notifier.flush();
    expect(sent).toEqual([['a'], ['b']]);
    await notifier.flush();
    await clock.advance(60_000);
    expect(sent).toEqual([['a'], ['b']]);
    expect(clock.waiting).toBe(0);
  });

  it('sends notifications that arrive during close', async () => {
    const slow = new Notifier(async (hint) => {
      sent.push(readTopics(hint));
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

  it('needs no timer when no notification waits', () => {
    notifier.announce(['a']);
    expect(clock.waiting).toBe(0);
  });

  it('stands for any topic when there are too many for a notification', () => {
    notifier.announce(Array.from({ length: 30 }, (_, index) => 'ß'.repeat(130) + index));
    expect(sent).toEqual([undefined]);
  });
});
