import { randomUUID } from 'node:crypto';
import type { Clock, ScheduledWake } from '../../core/clock.js';
import type { Audience, OneWorkerHint } from '../runtime/store-hints.js';

/**
 * Notifications within this time are merged: each takes a lock that all commits of the database share. With 5 ms, half of the jobs
 * spent more time on waiting for their notification than on the rest of the pickup.
 */
const WINDOW_MS = 2;

/**
 * An insert that starts this long after the last notification carries the waiting ones. Under a steady load, no notification then
 * needs its own statement: with 64 callers those statements took a twelfth of the throughput.
 */
const CARRY_AFTER_MS = 1;

/** How long waiting notifications wait for the statement that carries them. */
const CARRY_MAX_MS = 20;

/** A notification that a statement sends with its commit. */
export interface PiggybackNotification {
  readonly payload: string;
  /** Call this when the statement has committed. Otherwise the other waiting topics are sent again after 20 ms. */
  markSent(): void;
}

/**
 * Notifies other processes of new jobs. The first notification is sent at once. Those of the next few milliseconds are merged and
 * sent with the next insert, or at the end of that time.
 */
export class Notifier {
  /** Encodes notifications, and decodes those of other processes. */
  readonly codec = new NotificationPayload();

  private readonly waiting = new Set<string>();
  /** Whether one of the waiting topics was announced to all processes. */
  private audience: Audience = 'one';
  private sentAtMs = -Infinity;
  private sending: Promise<void> | undefined;
  private timer: ScheduledWake | undefined;

  /** @param send never rejects. It runs once at a time; topics that arrive while it runs are merged into the next payload. */
  constructor(
    private readonly send: (payload: string) => Promise<void>,
    private readonly clock: Clock,
  ) {}

  /** Announces stored jobs of these topics. */
  announce(topics: Iterable<string>, audience: Audience = 'one'): void {
    this.add(topics, audience);
    if (this.sending || this.waiting.size === 0) {
      return;
    }
    const waitMs = WINDOW_MS - this.sinceSentMs;
    if (waitMs > 0) {
      this.timer ??= this.clock.schedule(waitMs, () => this.sendWaiting());
    } else {
      this.sendWaiting();
    }
  }

  /** Sends all topics that wait, and those that arrive while it sends. */
  async flush(): Promise<void> {
    do {
      await this.sending;
      this.sendWaiting();
    } while (this.sending);
  }

  /**
   * Returns a notification for a statement that is about to store jobs of these topics, which saves a round trip and a commit.
   * Returns `undefined` within the window: the caller then announces the jobs when they are stored.
   *
   * @param isUnconditional whether the statement always notifies when it succeeds: then it may carry the other waiting topics too.
   */
  takePiggyback(topics: Iterable<string>, isUnconditional: boolean): PiggybackNotification | undefined {
    if (this.sinceSentMs < (isUnconditional ? CARRY_AFTER_MS : WINDOW_MS)) {
      return undefined;
    }
    const others = [...this.waiting];
    const { audience } = this;
    this.add(topics, 'one');
    const payload = this.take();
    const announceOthers = (): void => this.announce(others, audience);
    const resend = others.length > 0 ? this.clock.schedule(CARRY_MAX_MS, announceOthers) : undefined;
    return { payload, markSent: () => resend?.cancel() };
  }

  private add(topics: Iterable<string>, audience: Audience): void {
    for (const topic of topics) {
      this.waiting.add(topic);
      this.audience = audience === 'all' ? audience : this.audience;
    }
  }

  /** Encodes and clears the waiting topics. */
  private take(): string {
    const payload = this.codec.encode(this.waiting, this.audience);
    this.waiting.clear();
    this.audience = 'one';
    this.sentAtMs = this.clock.now();
    this.timer?.cancel();
    this.timer = undefined;
    return payload;
  }

  private get sinceSentMs(): number {
    return this.clock.now() - this.sentAtMs;
  }

  private sendWaiting(): void {
    if (this.sending || this.waiting.size === 0) {
      return;
    }
    this.sending = this.send(this.take()).then(() => {
      this.sending = undefined;
      this.announce([]);
    });
  }
}

/** PostgreSQL limits a payload to 8,000 bytes. */
const PAYLOAD_BYTES_MAX = 7_000;

/** What a notification says. */
interface DecodedNotification {
  readonly topics: readonly string[];
  /** `undefined`: it is for all processes. */
  readonly hint: OneWorkerHint | undefined;
}

/** The last part of a payload. */
interface Sender {
  /** A random id of the sender. */
  readonly from: string;
  /** Counts the notifications that are for one process. */
  readonly n?: number;
  /** Stands for the worker that sent it. */
  readonly by?: string;
}

/**
 * Encodes and decodes the payload of a notification: a JSON array of topics, and an object about the sender. The empty text means any
 * topic; it is sent when there are too many. A process ignores its own notifications, since the insert has already returned.
 */
export class NotificationPayload {
  /** Stands for this process, once it claims jobs. */
  worker: string | undefined;
  private origin = randomUUID();
  private count = 0;

  encode(topics: Iterable<string>, audience: Audience = 'one'): string {
    this.count += 1;
    const one = audience === 'one' ? { n: this.count, by: this.worker } : {};
    const text = JSON.stringify([...topics, { from: this.origin, ...one } satisfies Sender]);
    return Buffer.byteLength(text) <= PAYLOAD_BYTES_MAX ? text : '';
  }

  /** Encodes a notification that this process must not ignore: it learns of the commit only from it. */
  encodeAnonymous(topics: Iterable<string>): string {
    const text = JSON.stringify([...topics, { from: randomUUID(), n: 1 } satisfies Sender]);
    return Buffer.byteLength(text) <= PAYLOAD_BYTES_MAX ? text : '';
  }

  /**
   * Takes a new id, so that the notifications sent so far count as those of another process. Called when the result of an insert was
   * lost: its notification then shows when the server has stored the job.
   */
  resetOrigin(): void {
    this.origin = randomUUID();
  }

  /** Returns no topics for the process's own payload, and `undefined` for any topic. */
  decode(text: string | undefined): DecodedNotification | undefined {
    const parts = parseParts(text);
    const sender = parts?.find(isSender);
    if (!parts || sender?.from === this.origin) {
      return parts && { topics: [], hint: undefined };
    }
    const hint = sender?.n === undefined ? undefined : { id: `${sender.from} ${sender.n}`, sender: sender.by };
    return { topics: parts.filter((part) => typeof part === 'string'), hint };
  }
}

function parseParts(text: string | undefined): readonly unknown[] | undefined {
  try {
    const parts: unknown = JSON.parse(text ?? '');
    return Array.isArray(parts) ? parts : undefined;
  } catch {
    // The payload is empty, or another program uses this channel.
    return undefined;
  }
}

function isSender(part: unknown): part is Sender {
  return typeof part === 'object' && part !== null && 'from' in part && typeof part.from === 'string';
}
