import type { Clock } from '../../../lib/core/clock.js';
import type { Claim } from '../../../lib/core/job.js';
import { silentLogger } from '../../../lib/core/logger.js';
import { PayloadDecoder } from '../../../lib/engine/codec/payload-decoder.js';
import { MissingKeyError } from '../../../lib/index.js';

describe('a process that lacks a key', () => {
  let nowMs = 0;
  let keys: Set<string>;
  let warnings: string[];
  let decoder: PayloadDecoder;

  beforeEach(() => {
    nowMs = 0;
    keys = new Set();
    warnings = [];
    decoder = new PayloadDecoder({
      codec: {
        encode: (payload: unknown) => payload,
        decode: (key: string) => {
          if (!keys.has(key)) throw new MissingKeyError(key);
          return `plain ${key}`;
        },
      },
      clock: { now: () => nowMs } as Clock,
      logger: { ...silentLogger, warn: (message: string) => void warnings.push(message) },
      random: () => 1,
      pollIntervalMs: 1_000,
      leaseMs: 500,
    });
  });

  /** Returns how long the attempt is released; `undefined` when its payload was decoded. */
  const decode = async (key: string, topic = 'pay'): Promise<number | undefined> => {
    const attempt = { claim: { id: '1', topic, payload: key } as Claim, releaseMs: undefined as number | undefined };
    await decoder.decode(attempt).catch(() => undefined);
    return attempt.releaseMs;
  };

  /** Returns how long the topic pauses. */
  const pauseMs = (topic = 'pay'): number => {
    const startMs = nowMs;
    while (decoder.isPaused(topic)) {
      nowMs += 500;
    }
    return nowMs - startMs;
  };

  it('releases the job and pauses its topic for a time that doubles, up to a minute', async () => {
    const pauses: number[] = [];
    for (let failures = 0; failures < 8; failures += 1) {
      expect(await decode('b')).toBe(500);
      expect(decoder.isPaused('other')).toBe(false);
      pauses.push(pauseMs());
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  });

  it('counts the jobs of one claim once', async () => {
    await decode('b');
    await decode('b');
    expect(pauseMs()).toBe(1_000);
    await decode('b');
    expect(pauseMs()).toBe(2_000);
  });

  it('starts again with short pauses after a payload of the topic that it can decode', async () => {
    await decode('b');
    pauseMs();
    await decode('b');
    keys.add('a');
    expect(await decode('a')).toBeUndefined();
    expect(pauseMs()).toBe(2_000);
    await decode('b');
    expect(pauseMs()).toBe(1_000);
  });

  it('logs each topic and key once', async () => {
    for (const key of ['b', 'b', 'c', 'b']) {
      await decode(key);
      pauseMs();
    }
    await decode('b', 'mail');
    expect(warnings).toHaveLength(3);
    expect(warnings[0]).toContain("jobs of 'pay': this process has no key 'b' to decode the payload");
  });
});
