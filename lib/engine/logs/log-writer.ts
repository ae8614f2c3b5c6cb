/*
 * Logs. In: lines of `job.log`. Out: rows of `_jobs_logs`, in sets.
 * The pruner deletes the lines together with their job; maintain/table-sweepers.ts deletes those of other jobs that are gone.
 */
import type { ScheduledWake } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import { toErrorMessage } from '../../core/error-text.js';
import { QueueUnavailableError } from '../../core/errors.js';
import type { LogText } from '../../core/job-log.js';
import { MEBIBYTE } from '../../core/bounds.js';
import type { ClaimToken } from '../../core/job.js';
import type { LogSet } from '../../store/logs/log-store.js';
import { Batcher } from '../runtime/batcher.js';
import type { EngineParts } from '../runtime/engine-parts.js';

/** How long a line waits for later ones, and the pause after a failure. */
const INTERVAL_MS = 1_000;
/** How long an outcome waits for the lines of its attempt. Shutdown waits longer for outcomes. */
const FLUSH_MAX_MS = 1_000;
/** Characters of the lines that wait, in all jobs of the process. */
const LENGTH_MAX = 8 * MEBIBYTE;
/** What a line needs besides its text: its JSON in the statement. Bounds the number of empty lines. */
const LINE_LENGTH = 150;

/** A line that waits to be written. */
interface WaitingLine extends LogText {
  readonly line: number;
  readonly atMs: number;
}

interface TakenLines {
  readonly token: ClaimToken;
  /** At least one. */
  readonly lines: readonly WaitingLine[];
}

/** The lines of one attempt that are not in the database yet. */
export class AttemptLog {
  waiting: WaitingLine[] = [];
  /** Resolves when the lines before the waiting ones are written, or could not be. */
  written: Promise<void> | undefined;
  private count = 0;

  constructor(readonly token: ClaimToken) {}

  push(text: LogText, atMs: number): void {
    this.count += 1;
    this.waiting.push({ ...text, line: this.count, atMs });
  }
}

/**
 * Writes the lines of all jobs of the process in one statement, at most once a second and before the outcome of their attempt. An outage
 * never fails a handler or an outcome: lines wait, 8 MiB at most, and the log says how many were dropped. Costs nothing while no handler
 * calls `log`.
 */
export class LogWriter {
  private readonly logs = new Set<AttemptLog>();
  private readonly batcher: Batcher<TakenLines, unknown>;
  private readonly maxLines: number;
  private timer: ScheduledWake | undefined;
  /** Length of all lines that are not written. */
  private length = 0;
  /** Since the last write that succeeded. */
  private droppedCount = 0;
  private isFailing = false;
  private isStopped = false;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'logger' | 'logs'>) {
    this.maxLines = parts.logs.maxLines;
    this.batcher = new Batcher({
      run: async (items) => {
        await parts.store.logs.write(this.toSets(items), this.maxLines);
        return items;
      },
      measureLength: ({ lines }) => measure(lines),
    });
  }

  /** Writes a line within a second. Does nothing if logs are off. */
  add(attempt: { readonly claim: ClaimToken; lines: AttemptLog | undefined }, text: LogText): void {
    if (this.maxLines === 0) {
      return;
    }
    const log = (attempt.lines ??= new AttemptLog(attempt.claim));
    log.push(text, this.parts.clock.now());
    this.length += measure(log.waiting.slice(-1));
    if (log.waiting.length > this.maxLines) {
      // Newer lines of the job would delete it anyway.
      this.dropOldest(log);
    }
    this.logs.add(log);
    this.dropExcess();
    this.schedule();
  }

  /**
   * Writes the lines of an attempt that has ended.
   *
   * @returns a promise for when its outcome may be written; `undefined`: now. During an outage the outcome does not wait.
   */
  flush(log: AttemptLog): Promise<unknown> | undefined {
    if (this.isFailing || this.isStopped) {
      return undefined;
    }
    const written = log.waiting.length > 0 ? this.write(log) : log.written;
    return written && endsWithin(this.parts.clock, FLUSH_MAX_MS, written);
  }

  /** Undoes `stop`. */
  start(): void {
    this.isStopped = false;
  }

  /** Writes what waits. Resolves when the last statement has ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.timer?.cancel();
    this.timer = undefined;
    await this.writeAll();
    await this.batcher.idle();
    const lost = [...this.logs].reduce((count, { waiting }) => count + waiting.length, 0);
    if (lost > 0) {
      this.parts.logger.warn(`${lost} lines of job.log were not saved before shutdown`);
    }
    this.logs.clear();
    this.length = 0;
  }

  private schedule(): void {
    if (this.logs.size > 0 && !this.isStopped) {
      this.timer ??= this.parts.clock.schedule(INTERVAL_MS, () => void this.writeInTurn());
    }
  }

  private async writeInTurn(): Promise<void> {
    await this.writeAll();
    this.timer = undefined;
    this.schedule();
  }

  private async writeAll(): Promise<void> {
    await Promise.all([...this.logs].map((log) => this.write(log)));
  }

  /** Writes the waiting lines of an attempt, together with those of others. Never rejects. */
  private write(log: AttemptLog): Promise<void> {
    const lines = log.waiting;
    log.waiting = [];
    this.logs.delete(log);
    log.written = this.batcher.add({ token: log.token, lines }).then(
      () => this.onWritten(lines),
      (error: unknown) => this.onError(log, lines, error),
    );
    return log.written;
  }

  private toSets(items: readonly TakenLines[]): LogSet[] {
    const nowMs = this.parts.clock.now();
    return items.map(({ token, lines }) => ({
      token,
      lines: lines.map(({ atMs, ...line }) => ({ ...line, ageMs: nowMs - atMs })),
    }));
  }

  private onWritten(lines: readonly WaitingLine[]): void {
    this.length -= measure(lines);
    this.isFailing = false;
    if (this.droppedCount > 0) {
      this.parts.logger.warn(`dropped ${this.droppedCount} lines of job.log: more than 8 MiB waited for the database`);
      this.droppedCount = 0;
    }
  }

  /** Logs once per outage. */
  private onError(log: AttemptLog, lines: readonly WaitingLine[], error: unknown): void {
    const isOutage = error instanceof QueueUnavailableError;
    if (!this.isFailing) {
      const next = isOutage
        ? 'up to 8 MiB are kept and written later'
        : 'the database refused them, and they are dropped';
      this.parts.logger.warn(`lines of job.log could not be saved: ${toErrorMessage(error)}; ${next}`);
    }
    this.isFailing = true;
    if (!isOutage) {
      this.length -= measure(lines);
      return;
    }
    log.waiting = [...lines, ...log.waiting];
    this.logs.add(log);
    while (log.waiting.length > this.maxLines) {
      this.dropOldest(log);
    }
    this.dropExcess();
    this.schedule();
  }

  /** Drops lines of the job whose lines wait longest, until the others fit. */
  private dropExcess(): void {
    for (const log of this.logs) {
      while (this.length > LENGTH_MAX && log.waiting.length > 0) {
        this.dropOldest(log);
        this.droppedCount += 1;
      }
      if (log.waiting.length > 0) {
        return;
      }
      this.logs.delete(log);
    }
  }

  private dropOldest(log: AttemptLog): void {
    this.length -= measure([log.waiting.shift()!]);
  }
}

function measure(lines: readonly LogText[]): number {
  return lines.reduce((length, { message, data }) => length + LINE_LENGTH + message.length + (data?.length ?? 0), 0);
}
