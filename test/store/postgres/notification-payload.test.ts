import fc from 'fast-check';
import { NotificationPayload } from '../../../lib/store/postgres/notifier.js';

describe('a hint', () => {
  const [sender, other] = [new NotificationPayload(), new NotificationPayload()];

  it('tells others of its topics, whatever they are called, and nobody of what he has said himself', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { maxLength: 20 }), (topics) => {
        const hint = sender.encode(topics);
        expect(other.decode(hint)).toEqual(topics);
        expect(sender.decode(hint)).toEqual([]);
      }),
    );
  });

  it('tells its sender, too, of what was sent before he has lost an answer, and not of what comes after', () => {
    const loser = new NotificationPayload();
    const before = loser.encode(['lost']);
    loser.resetOrigin();
    expect(loser.decode(before)).toEqual(['lost']);
    expect(loser.decode(loser.encode(['later']))).toEqual([]);
  });

  it('says "any" where its topics are too many for a notification', () => {
    const topics = Array.from({ length: 1_000 }, (_, n) => `topic ${n}`);
    expect(sender.encode(topics)).toBe('');
    expect(other.decode('')).toBeUndefined();
  });

  it.each([undefined, '', 'mail', '{"mail":1}', 'null', '{'])('that reads %j may be of any topic', (text) => {
    expect(sender.decode(text)).toBeUndefined();
  });

  it('of somebody who does not say who he is names topics all the same', () => {
    expect(sender.decode('["mail",null,7,{"from":null},"sms"]')).toEqual(['mail', 'sms']);
  });
});
