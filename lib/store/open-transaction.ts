import { DatabaseRefusedError, InvalidOptionsError } from '../core/errors.js';
import type { TransactionPart } from './job-store.js';

/** Told once how it ended. */
export type Done = (committed: boolean) => void;

/** A call of the queue's in a transaction of the application's. */
export class Part implements TransactionPart {
  readonly over: Promise<void>;
  isOpen = true;
  refusal: Error | undefined;
  /** Of the savepoint that began while this was under way, if one did: nobody knows which side of it this stands on. */
  besideDepth = 0;
  private resolve!: () => void;

  constructor(
    /** How many savepoints deep the caller was; rolled back to a lower depth, its work is gone. */
    public depth: number,
    readonly done: Done,
  ) {
    this.over = new Promise((resolve) => (this.resolve = resolve));
  }

  settled(refusal?: Error): void {
    this.isOpen = false;
    this.refusal = refusal;
    this.resolve();
  }

  pardon(): void {
    this.refusal = undefined;
  }
}

/** What is known of an open transaction. */
export class OpenTransaction {
  parts: Part[] = [];
  /** How deep the savepoint is that is about to begin in it, if one is. */
  beginningDepth = 0;
  /** TypeORM may have lost count of its savepoints: see `givesUp`. */
  private isMiscounted = false;
  /** TypeORM has told that it is about to end it, or to give up what stands since a savepoint. */
  isToEnd = false;
  /** That statement is on its way: what is sent now would run behind it. */
  isEnding = false;
  /** Once it has ended. */
  hasCommitted: boolean | undefined;

  constructor(
    /** How deep TypeORM takes it to be when it begins: not 0 where a transaction before it has ended behind its back. */
    private readonly base = 0,
  ) {}

  isOutermost(depth: number): boolean {
    return depth <= this.base + 1;
  }

  savepointBegins(depth: number): void {
    this.beginningDepth = depth;
    for (const part of this.parts) {
      if (part.isOpen) {
        part.besideDepth = depth;
      }
    }
  }

  savepointStands(): void {
    this.beginningDepth = 0;
  }

  /** What was to end is over, or stands after all. */
  goOn(): void {
    this.isToEnd = this.isEnding = false;
  }

  /** It has ended. Answers the calls whose fate is known by that. */
  ended(committed: boolean): Part[] {
    this.goOn();
    // What TypeORM takes for its end later on is that of nothing.
    this.hasCommitted ??= committed;
    return this.parts.splice(0);
  }

  /** A savepoint in it has ended, down to this depth. Answers the calls whose fate is known by that. */
  savepointEnded(depth: number, isReleased: boolean): Part[] {
    this.goOn();
    this.beginningDepth = 0;
    const gone = isReleased ? [] : this.parts.filter((part) => part.depth > depth);
    if (gone.length > 0) {
      this.parts = this.parts.filter((part) => part.depth <= depth);
    }
    // Loops, since thousands of savepoints may end beside thousands of calls.
    for (const part of this.parts) {
      // A savepoint that is released decides nothing yet: its work now stands or falls with what is around it.
      part.depth = Math.min(part.depth, depth);
      if (part.besideDepth > depth) {
        // One that is released leaves it beside those around it, which began while it was under way, too.
        part.besideDepth = isReleased && depth > part.depth ? depth : 0;
        if (!isReleased) {
          // It may have gone along: that keeps the whole from committing.
          part.refusal = takenAlong();
        }
      }
    }
    return gone;
  }

  /**
   * TypeORM is about to roll back what stands since the innermost savepoint, or all. When it does so because another one could not
   * begin, it ends the wrong one: from then on it is a level short, and sends COMMIT for the whole at the end of an inner
   * `transaction`. Nobody can tell that from the end of the right one.
   */
  givesUp(): void {
    this.isMiscounted ||= this.beginningDepth > 0;
  }

  /** Why it must not be committed, if it must not. */
  get refusal(): Error | undefined {
    const refused = this.parts.find((part) => part.refusal)?.refusal;
    const isDoubtful = this.isMiscounted && this.parts.length > 0;
    return refused ?? (isDoubtful ? mayEndTooEarly() : undefined);
  }

  /** Resolves when no call is under way in it. */
  async idle(): Promise<void> {
    while (this.parts.some(({ isOpen }) => isOpen)) {
      await Promise.all(this.parts.map(({ over }) => over));
    }
  }
}

const takenAlong = (): InvalidOptionsError =>
  new InvalidOptionsError(
    'manager',
    'a savepoint that began while this call was under way, and was rolled back, may have taken it along: await the call before',
  );

const mayEndTooEarly = (): DatabaseRefusedError =>
  new DatabaseRefusedError(
    'this transaction cannot be committed: TypeORM rolled back to a savepoint while another one could not begin, and may have taken the wrong one; on PostgreSQL none begins once a statement has failed: let its error through, or put what may fail into a savepoint (manager.transaction)',
  );
