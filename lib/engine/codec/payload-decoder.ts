import { backoffMs } from '../../core/backoff.js';
import type { Clock } from '../../core/clock.js';
import type { PayloadCodec, PayloadOwner } from '../../core/codec-option.js';
import { countFailures, isDeadLetter } from '../../core/dead-letter.js';
import { isMissingKey, MissingKeyError } from '../../core/errors.js';
import type { Claim } from '../../core/job.js';
import type { JobsLogger } from '../../core/logger.js';
import { findEncodedMark } from '../../core/payload.js';
import { warnOnce } from '../../core/warn-once.js';

interface PayloadDecoderParts {
  readonly codec: PayloadCodec | undefined;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
  readonly pollIntervalMs: number;
  readonly leaseMs: number;
}

/** What the decoder uses of an attempt. */
interface DecodedAttempt {
  readonly claim: Pick<Claim, 'id' | 'topic' | 'payload' | 'metadata'>;
  releaseMs: number | undefined;
}

/** A time during which this process claims no jobs of a topic. */
interface TopicPause {
  /** Pauses in a row, without a payload that this process could decode. */
  readonly count: number;
  readonly untilMs: number;
}

/** The shortest and the longest pause of a topic for whose payloads this process lacks the key. */
const PAUSES = { minMs: 1_000, maxMs: 60_000 };

/**
 * Decodes payloads for handlers. When this process lacks the codec or a key, the attempt is released, and the topic pauses here: another
 * process, of a newer version, may have it.
 */
export class PayloadDecoder {
  private readonly pauses = new Map<string, TopicPause>();
  /** How long a released job waits, so that it does not keep later jobs of its topic from being claimed. */
  private readonly releaseMs: number;

  constructor(private readonly parts: PayloadDecoderParts) {
    this.releaseMs = Math.min(parts.pollIntervalMs, parts.leaseMs);
  }

  /** Whether a payload needs `decode`. Without a codec it looks at the top level only, and no promise is made for a plain payload. */
  mustDecode({ payload, metadata }: DecodedAttempt['claim']): boolean {
    return (
      this.parts.codec !== undefined ||
      findEncodedMark(payload) !== undefined ||
      (metadata !== null && countFailures(metadata) > 0)
    );
  }

  /** Returns the payload of an attempt. @throws the errors of the codec; MissingKeyError for a payload that stays encoded. */
  async decode(attempt: DecodedAttempt): Promise<unknown> {
    const { id, topic, payload, metadata } = attempt.claim;
    try {
      const decoded = await this.decodePart(payload, { id, topic }, countFailures(metadata));
      this.recordSuccess(topic);
      return decoded;
    } catch (error) {
      if (isMissingKey(error)) {
        this.recordMissingKey(topic, error.message);
        attempt.releaseMs = this.releaseMs;
      }
      throw error;
    }
  }

  /** Whether this process claims no jobs of the topic now. */
  isPaused(topic: string): boolean {
    return (this.pauses.get(topic)?.untilMs ?? -Infinity) > this.parts.clock.now();
  }

  /** The payload inside a dead letter was encoded for the job that has failed. @param depth how many dead letters may be around it. */
  private async decodePart(stored: unknown, owner: PayloadOwner, depth: number): Promise<unknown> {
    if (depth === 0 || !isDeadLetter(stored)) {
      const { codec } = this.parts;
      return assertDecoded(codec ? await codec.decode(stored, owner) : stored, codec);
    }
    const { id, topic, payload } = stored;
    return { ...stored, payload: await this.decodePart(payload, { id, topic }, depth - 1) };
  }

  private recordSuccess(topic: string): void {
    const pause = this.pauses.get(topic);
    if (pause) {
      // The pause goes on: jobs with the missing key may be next.
      this.pauses.set(topic, { ...pause, count: 0 });
    }
  }

  private recordMissingKey(topic: string, message: string): void {
    if (this.isPaused(topic)) {
      // Another job of the same claim.
      return;
    }
    const { clock, random, logger } = this.parts;
    const count = this.pauses.get(topic)?.count ?? 0;
    this.pauses.set(topic, { count: count + 1, untilMs: clock.now() + backoffMs(count, PAUSES, random()) });
    const text = `jobs of '${topic}': ${message}`;
    warnOnce(
      logger,
      'payload keys',
      text,
      `${text}. They return to the queue without using a retry, and this process pauses the topic for a growing time, ` +
        `at most ${PAUSES.maxMs / 1_000} s; give this process the codec with the key`,
    );
  }
}

/** A payload that is still marked belongs to a codec that this process does not have. */
function assertDecoded(payload: unknown, codec: PayloadCodec | undefined): unknown {
  const mark = findEncodedMark(payload);
  if (mark) {
    const reason = codec ? 'the codec of this process does not decode it' : 'this process has no codec';
    throw new MissingKeyError(mark, `the payload is encoded ('${mark}'), and ${reason}`);
  }
  return payload;
}
