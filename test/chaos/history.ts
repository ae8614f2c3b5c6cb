import { openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

interface OfAttempt {
  readonly id: string;
  readonly attempt: number;
}

/** Events that handlers and enqueuers record, independent of the queue. */
export type HistoryEvent =
  | (OfAttempt & { readonly kind: 'began' })
  /** `completeTx` is called now. */
  | (OfAttempt & { readonly kind: 'completing' })
  /** The handler was told to end. */
  | (OfAttempt & { readonly kind: 'aborted'; readonly reason: string })
  | (OfAttempt & { readonly kind: 'returned' })
  /** The handler threw; `code` is that of the queue's error, when it was one. */
  | (OfAttempt & { readonly kind: 'threw'; readonly code: string | null })
  /** The queue has confirmed that this attempt completed its job. */
  | (OfAttempt & { readonly kind: 'completed' })
  /** The queue says that what this attempt offered was refused. */
  | (OfAttempt & { readonly kind: 'lease lost' })
  /** The handler ends its process. */
  | (OfAttempt & { readonly kind: 'exits' })
  /** `n` names the job before it has an id. */
  | { readonly kind: 'asked'; readonly n: string }
  | { readonly kind: 'acknowledged'; readonly n: string; readonly id: string; readonly tookMs: number }
  /** `code` is that of the queue's error; `null` when the error is of another kind, as it may be in a transaction. */
  | {
      readonly kind: 'refused';
      readonly isInTransaction: boolean;
      readonly n: string;
      readonly code: string | null;
      readonly message: string;
      readonly tookMs: number;
    }
  | { readonly kind: 'rolled back'; readonly n: string }
  /** The process was told to end, and has nothing left to do. */
  | { readonly kind: 'closed' }
  /** A process of a storm took the write lock, or was told that somebody else has it. */
  | { readonly kind: 'locked' | 'busy' };

/** `atUs`: the system's monotonic clock, the same in all processes of a machine. */
export type HistoryEntry = HistoryEvent & { readonly atUs: number; readonly by: string };

/**
 * The append-only history of one process: a plain file, written line by line. What a process has written before SIGKILL
 * stays written, since the operating system has it.
 */
export class HistoryWriter {
  private readonly file: number;

  constructor(
    folder: string,
    private readonly by: string,
  ) {
    this.file = openSync(join(folder, `${by}.jsonl`), 'a');
  }

  write(deed: HistoryEvent): void {
    writeSync(this.file, `${JSON.stringify({ ...deed, atUs: nowUs(), by: this.by })}\n`);
  }
}

export function nowUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** What all processes have written, each in its order. */
export function readHistory(folder: string): HistoryEntry[] {
  return readdirSync(folder).flatMap((file) => entriesOf(join(folder, file)));
}

/** Whether a handler runs in a process, by what that has written so far. */
export function isAtWork(folder: string, by: string): boolean {
  const running = new Set<string>();
  for (const deed of entriesOf(join(folder, `${by}.jsonl`))) {
    if (deed.kind === 'began') running.add(`${deed.id} ${deed.attempt}`);
    if (deed.kind === 'returned' || deed.kind === 'threw') running.delete(`${deed.id} ${deed.attempt}`);
  }
  return running.size > 0;
}

function entriesOf(path: string): HistoryEntry[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  // After the last newline there is nothing, or what a killed process had no time to end.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as HistoryEntry);
}
