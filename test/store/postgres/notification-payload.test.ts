import fc from 'fast-check';
import { NotificationPayload } from '../../../lib/store/postgres/notifier.js';

describe('NotificationPayload', () => {
  const [sender, other] = [new NotificationPayload(), new NotificationPayload()];

  it('carries topics of any name to other processes and is ignored by its sender', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 20 }), (topics) => {
        const hint = sender.encode(topics);
        expect(other.decode(hint)?.topics).toEqual(topics);
        expect(sender.decode(hint)?.topics).toEqual([]);
      }),
    );
  });

  it('is read by its sender if it was sent before a lost response', () => {
    const restarted = new NotificationPayload();
    const before = restarted.encode(['lost']);
    restarted.resetOrigin();
    expect(restarted.decode(before)?.topics).toEqual(['lost']);
    expect(restarted.decode(restarted.encode(['later']))?.topics).toEqual([]);
  });

  it('stands for any topic when there are too many for a notification', () => {
    const topics = Array.from({ length: 1_000 }, (_, n) => `topic ${n}`);
    expect(sender.encode(topics)).toBe('');
    expect(other.decode('')).toBeUndefined();
  });

  it.each([undefined, '', 'mail', '{"mail":1}', 'null', '{'])('stands for any topic when its text is %j', (text) => {
    expect(sender.decode(text)).toBeUndefined();
  });

  it('carries topics without the name of a sender', () => {
    expect(sender.decode('["mail",null,7,{"from":null},"sms"]')).toEqual({ topics: ['mail', 'sms'], hint: undefined });
  });

  it('is for one process, and names itself and its sender, or for all processes', () => {
    const worker = new NotificationPayload();
    worker.worker = 'host:7:abc';
    const hints = [worker, worker, other].map((each) => sender.decode(each.encode(['mail']))?.hint);

    expect(hints.map((hint) => hint?.sender)).toEqual(['host:7:abc', 'host:7:abc', undefined]);
    expect(new Set(hints.map((hint) => hint?.id)).size).toBe(3);
    expect(sender.decode(worker.encode(['mail'], 'all'))).toEqual({ topics: ['mail'], hint: undefined });
  });
});
