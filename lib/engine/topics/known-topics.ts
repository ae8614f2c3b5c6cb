import { Batcher } from '../runtime/batcher.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { QueryCache } from '../reports/query-cache.js';

/** The largest number of topics that are listed. A caller whose rights depend on the topic may be asked for each of them. */
export const KNOWN_TOPICS_MAX = 1_000;
/** A list of more topics may be 2 s old. */
const FEW_TOPICS = 100;
/** A topic that existed is not looked up again for this long. */
const REMEMBERED_MS = 60_000;
/** Bounds the memory. Callers cannot fill it, because only topics that exist are remembered. */
const REMEMBERED_MAX = 10_000;

/**
 * Knows which topics exist: those with a job, a handler, a schedule or settings. Callers over HTTP may be limited to these, so that they
 * cannot fill the table with topics of their own.
 */
export class KnownTopics {
  private readonly names: QueryCache<readonly string[]>;
  /** Callers choose the names, so one statement at a time looks them up, for all calls that wait. */
  private readonly lookups: Batcher<string, boolean>;
  /** When each topic was last found. */
  private readonly found = new Map<string, number>();

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'registry'>) {
    const { reports } = parts.store;
    this.names = new QueryCache<readonly string[]>(
      parts.clock,
      () => reports.knownTopics(KNOWN_TOPICS_MAX + 1),
      ({ length }) => length > FEW_TOPICS,
    );
    this.lookups = new Batcher({
      run: async (topics) => {
        const existing = new Set(await reports.existingTopics([...new Set(topics)]));
        return topics.map((topic) => existing.has(topic));
      },
    });
  }

  /** Returns the topics by name, up to 1,000; `null` when there are more. */
  async list(): Promise<readonly string[] | null> {
    const stored = await this.names.get(null);
    const names = new Set([...stored, ...this.parts.registry.topics()]);
    return names.size > KNOWN_TOPICS_MAX ? null : [...names].sort();
  }

  /** Returns those of the topics that do not exist. Topics with a handler in this process, or found lately, cost no query. */
  async findUnknown(topics: readonly string[]): Promise<string[]> {
    const unsure = [...new Set(topics)].filter((topic) => !this.isRemembered(topic));
    const exist = await Promise.all(unsure.map((topic) => this.lookups.add(topic)));
    const unknown = unsure.filter((_, index) => !exist[index]);
    unsure.filter((_, index) => exist[index]).forEach((topic) => this.remember(topic));
    return unknown;
  }

  private isRemembered(topic: string): boolean {
    if (this.parts.registry.get(topic) !== undefined) {
      return true;
    }
    const atMs = this.found.get(topic);
    return atMs !== undefined && this.parts.clock.now() - atMs < REMEMBERED_MS;
  }

  private remember(topic: string): void {
    if (this.found.size >= REMEMBERED_MAX) {
      this.found.clear();
    }
    this.found.set(topic, this.parts.clock.now());
  }
}
