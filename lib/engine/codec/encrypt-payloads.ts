import type { KeyObject } from 'node:crypto';
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto';
import type { PayloadCodec, PayloadOwner } from '../../core/codec-option.js';
import { describeValue } from '../../core/error-text.js';
import { InvalidOptionsError, InvalidPayloadError, MissingKeyError, UnrecoverableError } from '../../core/errors.js';
import type { Check } from '../../core/option-checks.js';
import { flag, jsonCheck, option, readOptions } from '../../core/option-checks.js';

/** Options of {@link encryptPayloads}. */
export interface EncryptionOptions {
  /** Id of the key that encrypts new payloads: one of `keys`. */
  current: string;
  /**
   * Keys by id: 32 bytes each, as bytes, as base64 text or as 64 hexadecimal digits. Ids have 1 to 64 characters and are stored with the
   * payload. Keep a key until no job uses it.
   */
  keys: Readonly<Record<string, string | Uint8Array>>;
  /**
   * `false` stores new payloads plain, and still decrypts encrypted ones: the first step to turn encryption on, and the last to turn it
   * off. Default `true`.
   */
  encrypt?: boolean | undefined;
  /**
   * Fails jobs whose stored payload is not encrypted. Set it when no job from before the encryption is left: until then, who can write
   * to the table can replace an encrypted payload by a plain one. Default `false`.
   */
  rejectPlain?: boolean | undefined;
}

/** An encrypted payload as it is stored. */
interface Envelope {
  readonly $encrypted: typeof ALGORITHM;
  /** Id of the key. */
  readonly key: string;
  /** Base64 of IV, ciphertext and tag. */
  readonly data: string;
}

const ALGORITHM = 'A256GCM';
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_LENGTH_MAX = 64;

/**
 * Encrypts payloads with AES-256-GCM. The id and the topic of the job are authenticated: a payload that was changed, or moved to another
 * job, fails its job. A process without the key of a job returns the job to the queue.
 *
 * @throws InvalidOptionsError for a key that is not 32 bytes, and when `current` is not one of `keys`.
 *
 * @example
 * JobsModule.forRoot({ codec: encryptPayloads({ current: '2026-01', keys: { '2026-01': process.env.JOBS_KEY_2026_01! } }) });
 */
export function encryptPayloads(options: EncryptionOptions): PayloadCodec {
  const { current, keys, encrypt: mustEncrypt, rejectPlain } = readOptions(encryptionTable, options, 'encryptPayloads');
  const currentKey = typeof current === 'string' ? keys.get(current) : undefined;
  if (typeof current !== 'string' || !currentKey) {
    // Does not name the given value: it may be a key by mistake.
    const known = [...keys.keys()].map((id) => `'${id}'`).join(', ') || 'none';
    throw new InvalidOptionsError('encryptPayloads.current', `expected the id of one of the keys, which are: ${known}`);
  }
  if (rejectPlain && !mustEncrypt) {
    throw new InvalidOptionsError(
      'encryptPayloads.rejectPlain',
      'expected no rejectPlain with encrypt: false, whose plain jobs it would fail',
    );
  }
  return {
    encode: (payload: unknown, owner): unknown => {
      if (isEnvelope(payload)) {
        throw new InvalidPayloadError('payload', 'is the encrypted payload of a stored job; pass the plain payload');
      }
      if (!mustEncrypt) {
        return payload;
      }
      const data = encrypt(JSON.stringify(payload), currentKey, current, owner);
      return { $encrypted: ALGORITHM, key: current, data } satisfies Envelope;
    },
    decode: (stored: unknown, owner): unknown => {
      if (!isEnvelope(stored)) {
        if (rejectPlain) {
          throw new UnrecoverableError('payload: expected an encrypted payload, got a plain one (rejectPlain)');
        }
        return stored;
      }
      const id = String(stored.key);
      const key = keys.get(id);
      if (!key) {
        throw new MissingKeyError(id);
      }
      return JSON.parse(decrypt(stored, key, id, owner)) as unknown;
    },
  };
}

function encrypt(plain: string, key: KeyObject, keyId: string, owner: PayloadOwner): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(toAuthenticatedData(keyId, owner));
  return Buffer.concat([iv, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

/** @throws UnrecoverableError when the tag does not match: a retry would read the same payload. */
function decrypt({ $encrypted, data }: Envelope, key: KeyObject, keyId: string, owner: PayloadOwner): string {
  try {
    const bytes = Buffer.from(data, 'base64');
    const tagAt = bytes.length - TAG_BYTES;
    if ($encrypted !== ALGORITHM || tagAt < IV_BYTES) {
      throw new Error(`expected an envelope of ${ALGORITHM}`);
    }
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
      .setAAD(toAuthenticatedData(keyId, owner))
      .setAuthTag(bytes.subarray(tagAt));
    return decipher.update(bytes.subarray(IV_BYTES, tagAt), undefined, 'utf8') + decipher.final('utf8');
  } catch (cause) {
    const reason = `cannot be decrypted with key '${keyId}': it was changed or moved from another job, or the key has other bytes`;
    throw new UnrecoverableError(`payload: ${reason}`, { cause });
  }
}

function toAuthenticatedData(keyId: string, { id, topic }: PayloadOwner): Buffer {
  return Buffer.from(JSON.stringify(['nestjs-jobs', keyId, id, topic]));
}

function isEnvelope(value: unknown): value is Envelope {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, '$encrypted');
}

/** Errors never hold the key. */
const keysCheck: Check<ReadonlyMap<string, KeyObject>> = {
  expects: 'keys by id',
  parse: (value, path) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? new Map(Object.entries(value).map(([id, key]) => [checkKeyId(id, path), readKey(key, `${path}['${id}']`)]))
      : throwType(path, "an object of keys by id, such as { '2026-01': process.env.JOBS_KEY }", value),
};

function throwType(path: string, expected: string, value: unknown): never {
  const got = value === undefined ? 'none' : `a value of type ${typeof value}`;
  throw new InvalidOptionsError(path, `expected ${expected}, got ${got}`);
}

function checkKeyId(id: string, path: string): string {
  if (id.length === 0 || id.length > KEY_ID_LENGTH_MAX) {
    throw new InvalidOptionsError(
      path,
      `expected ids of 1 to ${KEY_ID_LENGTH_MAX} characters, got ${describeValue(id)}`,
    );
  }
  return id;
}

function readKey(value: unknown, path: string): KeyObject {
  const bytes =
    typeof value === 'string'
      ? Buffer.from(value, /^[0-9a-f]{64}$/i.test(value) ? 'hex' : 'base64')
      : value instanceof Uint8Array
        ? value
        : undefined;
  const expected = `${KEY_BYTES} bytes, as bytes, base64 or hexadecimal text`;
  if (!bytes) {
    return throwType(path, expected, value);
  }
  if (bytes.length !== KEY_BYTES) {
    throw new InvalidOptionsError(path, `expected ${expected}, got ${bytes.length} bytes`);
  }
  return createSecretKey(bytes);
}

const encryptionTable = {
  current: option<unknown>(undefined, jsonCheck),
  keys: option<ReadonlyMap<string, KeyObject>>(new Map(), keysCheck),
  encrypt: option(true, flag),
  rejectPlain: option(false, flag),
};
