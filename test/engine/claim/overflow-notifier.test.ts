import { OverflowNotifier } from '../../../lib/engine/claim/overflow-notifier.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('OverflowNotifier', () => {
  let clock: VirtualClock;
  let announced: (readonly string[])[];
  let overflowing: Set<string>;
  let notifier: OverflowNotifier;

  beforeEach(() => {
    clock = new VirtualClock();
    announced = [];
    overflowing = new Set();
    notifier = new OverflowNotifier({
      clock,
      pollIntervalMs: 1_000,
      store: { announce: (topics: Iterable<string>) => void announced.push([...topics]) } as never,
      liveWorkers: { hasOthersFor: (topic: string) => topic !== 'lonely' } as never,
      overflows: (topic) => overflowing.has(topic),
    });
  });

  it('announces a topic to all when this process has no room for its new jobs', () => {
    notifier.add('mail');
    notifier.add('sms');
    overflowing.add('mail').add('push');
    notifier.notify();
    expect(announced).toEqual([['mail']]);
  });

  it('announces nothing twice, and nothing that no other process handles', () => {
    notifier.add('mail');
    notifier.add('lonely');
    overflowing.add('mail').add('lonely');
    notifier.notify();
    notifier.notify();
    expect(announced).toEqual([['mail']]);
  });

  it('waits 50 ms after the last announcement, its own or that of another process', async () => {
    overflowing.add('mail');
    notifier.recordNotified('sms');
    notifier.add('mail');
    expect(notifier.notify()).toBe(50);
    await clock.advance(50);
    expect(notifier.notify()).toBe(Infinity);
    expect(announced).toEqual([['mail']]);
    notifier.add('mail');
    expect(notifier.notify()).toBe(50);
  });

  it('announces nothing when another process has done so, or when no job is due any more', () => {
    overflowing.add('mail').add('sms');
    notifier.add('mail');
    notifier.recordNotified('mail');
    notifier.add('sms');
    notifier.clear((topic) => topic === 'mail');
    expect(notifier.notify()).toBe(Infinity);
    expect(announced).toEqual([]);
  });

  it('announces found jobs again after the poll interval', async () => {
    overflowing.add('mail');
    expect(notifier.addFound('mail')).toBe(true);
    notifier.notify();
    await clock.advance(999);
    expect(notifier.addFound('mail')).toBe(false);
    expect(notifier.notify()).toBe(Infinity);
    await clock.advance(1);
    expect(notifier.addFound('mail')).toBe(true);
    notifier.notify();
    expect(announced).toEqual([['mail'], ['mail']]);
  });
});
