import type { ServerResponse } from 'node:http';

/** What its reader has not taken by then is lost: one who has stopped reading would keep the server from closing. */
const ENDING_MS_MAX = 2_000;

/**
 * One connection on which server-sent events leave. What a slow reader has not taken yet is replaced by what comes
 * later: only the latest event of each type waits, so that nothing piles up.
 */
export class EventChannel {
  /** The latest event of each type that could not be written. */
  private readonly waiting = new Map<string, unknown>();
  private isOver = false;
  private ending: NodeJS.Timeout | undefined;

  constructor(
    private readonly response: ServerResponse,
    /** Called once, when nobody is there any more. */
    onEnd: () => void,
  ) {
    response.once('close', () => {
      this.isOver = true;
      clearTimeout(this.ending);
      onEnd();
    });
    response.on('drain', () => this.flush());
    // A reset connection closes, too; that is enough to know.
    response.on('error', () => undefined);
  }

  /** `join` makes one event of one that still waits and this one; by default this one replaces it. */
  send<T>(type: string, data: T, join: (earlier: T, later: T) => T = (_, later) => later): void {
    const earlier = this.waiting.get(type) as T | undefined;
    this.waiting.set(type, earlier === undefined ? data : join(earlier, data));
    this.flush();
  }

  /** How long a reader shall wait before it comes again when it has lost us. */
  askToReturnAfter(ms: number): void {
    this.write(`retry: ${ms}\n\n`);
  }

  /** Shows that somebody is still here. */
  beat(): void {
    if (!this.response.writableNeedDrain) {
      this.write(': still here\n\n');
    }
  }

  end(): void {
    if (!this.isOver) {
      this.response.end();
      this.ending ??= setTimeout(() => this.response.destroy(), ENDING_MS_MAX);
    }
  }

  private flush(): void {
    for (const [type, data] of this.waiting) {
      if (this.response.writableNeedDrain) {
        return;
      }
      this.waiting.delete(type);
      this.write(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
    }
  }

  private write(text: string): void {
    if (!this.isOver && !this.response.writableEnded) {
      this.response.write(text);
    }
  }
}
