import fc from 'fast-check';
import { NotificationPayload } from '../../../lib/store/postgres/notifier.js';

describe('NotificationPayload', () => {
  const [sender, other] = [new NotificationPayload(), new NotificationPayload()];

  it('carries topics of any name to other processes and is ignored by its sender', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 20 }), (topics) => {
        const hint = sender.encode(topics);
        expect(other.decode(hint)).toEqual(topics);
        expect(sender.decode(hint)).toEqual([]);
      }),
    );
  });

  it('is read by its sender if it was sent before a lost response', () => {
    const restarted = new NotificationPayload();
    const before = restarted.encode(['lost']);
    restarted.resetOrigin();
    expect(restarted.decode(before)).toEqual(['lost']);
    expect(restarted.decode(restarted.encode(['later']))).toEqual([]);
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
    expect(sender.decode('["mail",null,7,{"from":null},"sms"]')).toEqual(['mail', 'sms']);
  });
});
