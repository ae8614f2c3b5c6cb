import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';

const INTERVAL_MS = 60_000;
const PAGES_MAX = 20;

/**
 * Each minute, while there are log lines, deletes those of jobs that are gone: pruned, deleted, or deleted as they ended. A pass reads up
 * to 20,000 jobs with lines and goes on where the previous one stopped. So no statement that deletes jobs has to look for lines.
 */
export class LogPruner {
  private readonly loop: PollLoop;
  private hasLogs = false;
  private after: string | null = null;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'failureLog' | 'random'>) {
    this.loop = new PollLoop({
      ...parts,
      name: 'pruning of log lines',
      intervalMs: INTERVAL_MS,
      initialDelayMs: INTERVAL_MS,
      work: () => this.run(),
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Receives whether there are lines. Without this, no statement runs. */
  onPresence(hasLogs: boolean): void {
    this.hasLogs = hasLogs;
  }

  /** Deletes lines of jobs that are gone, in the next pages of the table. */
  async run(): Promise<void> {
    for (let page = 0; this.hasLogs && page < PAGES_MAX; page += 1) {
      this.after = await this.parts.store.logs.prune(this.after);
      if (this.after === null) {
        return;
      }
    }
  }
}
