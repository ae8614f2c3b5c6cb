import { randomBytes } from 'node:crypto';
import { encryptPayloads, InvalidOptionsError, MissingKeyError, UnrecoverableError } from '../../../lib/index.js';

const KEY = randomBytes(32);
const OTHER = randomBytes(32);
const OWNER = { id: '018f3e6a-0000-7000-8000-000000000001', topic: 'mail' };
const PAYLOAD = { to: 'ann@example.org', nested: [1, null, { text: 'ä\u2028' }] };

interface Envelope {
  $encrypted: string;
  key: string;
  data: string;
}

const codec = encryptPayloads({ current: 'new', keys: { new: KEY, old: OTHER } });
const encode = (payload: unknown = PAYLOAD): Envelope => codec.encode(payload, OWNER) as Envelope;

const changeByte = (envelope: Envelope, at: number): Envelope => {
  const bytes = Buffer.from(envelope.data, 'base64');
  bytes[at < 0 ? bytes.length + at : at]! ^= 1;
  return { ...envelope, data: bytes.toString('base64') };
};

describe('encryptPayloads', () => {
  it.each([PAYLOAD, null, 0, '', [], false])('decrypts what it has encrypted: %j', (payload) => {
    expect(codec.decode(encode(payload), OWNER)).toEqual(payload);
  });

  it('stores the key id, an IV of its own for each payload, and no plain text', () => {
    const [first, second] = [encode(), encode()];
    expect(first).toEqual({ $encrypted: 'A256GCM', key: 'new', data: expect.any(String) as string });
    expect(first.data).not.toBe(second.data);
    const overhead = Buffer.from(first.data, 'base64').length - Buffer.byteLength(JSON.stringify(PAYLOAD));
    expect(overhead).toBe(12 + 16);
    expect(Buffer.from(first.data, 'base64').toString('latin1')).not.toContain('example');
  });

  it.each([
    ['the IV was changed', changeByte(encode(), 0)],
    ['the ciphertext was changed', changeByte(encode(), 14)],
    ['the tag was changed', changeByte(encode(), -1)],
    ['it was cut', { ...encode(), data: encode().data.slice(0, 24) }],
    ['its key id was changed', { ...encode(), key: 'old' }],
    ['its algorithm was changed', { ...encode(), $encrypted: 'none' }],
    ['its data is missing', { $encrypted: 'A256GCM', key: 'new' }],
  ])('rejects a payload for good when %s', (_, envelope) => {
    expect(() => codec.decode(envelope, OWNER)).toThrow(UnrecoverableError);
  });

  it('rejects a payload that was moved to another job or topic', () => {
    expect(() => codec.decode(encode(), { ...OWNER, id: OWNER.id.replace(/1$/, '2') })).toThrow(UnrecoverableError);
    expect(() => codec.decode(encode(), { ...OWNER, topic: 'payments' })).toThrow(UnrecoverableError);
  });

  it('stores plain payloads and decrypts encrypted ones with encrypt: false', () => {
    const reader = encryptPayloads({ current: 'new', keys: { new: KEY }, encrypt: false });
    expect(reader.encode(PAYLOAD, OWNER)).toEqual(PAYLOAD);
    expect(reader.decode(encode(), OWNER)).toEqual(PAYLOAD);
    expect(() => encryptPayloads({ current: 'new', keys: { new: KEY }, encrypt: false, rejectPlain: true })).toThrow(
      InvalidOptionsError,
    );
  });

  it('reports a key that it does not have', () => {
    const other = encryptPayloads({ current: 'old', keys: { old: OTHER } });
    const error = expect.objectContaining({ code: 'MISSING_KEY', keyId: 'new' }) as Error;
    expect(() => other.decode(encode(), OWNER)).toThrow(error);
    expect(() => other.decode(encode(), OWNER)).toThrow(MissingKeyError);
  });

  it('decrypts with an old key, and encrypts with the current one', () => {
    const before = encryptPayloads({ current: 'old', keys: { old: OTHER } });
    expect(codec.decode(before.encode(PAYLOAD, OWNER), OWNER)).toEqual(PAYLOAD);
  });

  it('passes on plain payloads of older jobs, or rejects them with rejectPlain', () => {
    const strict = encryptPayloads({ current: 'new', keys: { new: KEY }, rejectPlain: true });
    expect(codec.decode(PAYLOAD, OWNER)).toEqual(PAYLOAD);
    expect(() => strict.decode(PAYLOAD, OWNER)).toThrow(UnrecoverableError);
  });

  it('does not encrypt a payload twice', () => {
    expect(() => encode(encode())).toThrow('payload: is the encrypted payload of a stored job');
  });

  it.each([
    ['bytes', KEY],
    ['a Uint8Array', new Uint8Array(KEY)],
    ['base64', KEY.toString('base64')],
    ['base64url', KEY.toString('base64url')],
    ['hexadecimal text', KEY.toString('hex')],
  ])('takes a key as %s', (_, key) => {
    expect(encryptPayloads({ current: 'new', keys: { new: key } }).decode(encode(), OWNER)).toEqual(PAYLOAD);
  });

  it.each<[unknown, string]>([
    [{ current: 'new', keys: { new: randomBytes(16) } }, 'keys'],
    [{ current: 'new', keys: { new: 'secret' } }, 'keys'],
    [{ current: 'new', keys: { new: undefined } }, 'keys'],
    [{ current: 'new', keys: { new: KEY, old: 7 } }, 'keys'],
    [{ current: 'new', keys: { '': KEY } }, 'keys'],
    [{ current: 'new', keys: KEY.toString('hex') }, 'keys'],
    [{ current: 'other', keys: { new: KEY } }, 'current'],
    [{ current: KEY.toString('hex'), keys: { new: KEY } }, 'current'],
    [{ keys: { new: KEY } }, 'current'],
    [{ current: 'new' }, 'current'],
    [{ current: 'new', keys: { new: KEY }, algorithm: 'aes' }, 'algorithm'],
    [{ current: 'new', keys: { new: KEY }, rejectPlain: 'yes' }, 'rejectPlain'],
    [undefined, 'encryptPayloads'],
  ])('refuses options with a wrong key or name, without showing a key: %#', (options, name) => {
    let error: unknown;
    try {
      encryptPayloads(options as never);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toContain(name);
    expect((error as Error).message).not.toMatch(RegExp(`secret|${KEY.toString('hex')}`));
  });
});
