import { StatementCancelledError } from '../../core/errors.js';

interface KeyedJobMarkerOptions {
  /** Marks up to `limit` due jobs of each priority. Returns how many it has marked. */
  readonly mark: (topic: string, priorities: readonly number[], limit: number) => Promise<number>;
  /** Jobs that one statement marks. */
  readonly pageMax: number;
}

/**
 * Marks keyed jobs that have become due: jobs that were delayed, retried or re-queued. Only marked jobs take turns by their keys, and a
 * claim marks 100 of them, the oldest first. So the job of a small tenant would wait until the claims had marked the thousands of due jobs of
 * another one. When a claim leaves due jobs without a mark, this class marks them beside the claims, page after page.
 */
export class KeyedJobMarker {
  private readonly topics = new Set<string>();

  constructor(private readonly options: KeyedJobMarkerOptions) {}

  /** Starts to mark, unless this process marks jobs of the topic already. After an error, the next claim starts it again. */
  start(topic: string, priorities: readonly number[]): void {
    if (!this.topics.has(topic)) {
      this.topics.add(topic);
      void this.markAll(topic, priorities).finally(() => this.topics.delete(topic));
    }
  }

  private async markAll(topic: string, priorities: readonly number[]): Promise<void> {
    const { mark, pageMax } = this.options;
    for (let page = pageMax, marked = page; marked >= page && page > 0;) {
      try {
        marked = await mark(topic, priorities, page);
      } catch (error) {
        page = error instanceof StatementCancelledError ? Math.floor(page / 2) : 0;
        marked = page;
      }
    }
  }
}
