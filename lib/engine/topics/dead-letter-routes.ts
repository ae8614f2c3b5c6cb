/*
 * Dead letters. In: what handlers and `@OnJobFailed` declare. Out: the topics that receive the dead letters of each topic, which
 * topic-declarations.ts writes to the table. The store inserts the jobs: see store/links/dead-letter-script.ts.
 */
import type { DeadLetterTarget } from '../../core/dead-letter.js';
import { InvalidOptionsError } from '../../core/errors.js';
import { suggestName } from '../../core/suggestion.js';
import type { EngineParts } from '../runtime/engine-parts.js';

type DeadLetterRoutesParts = Pick<EngineParts, 'registry' | 'maxRetries'>;

/** A handler of failed jobs. */
interface FailureListener {
  /** The topic whose failures it handles; `undefined`: all that have a handler in this process, except topics of dead letters. */
  readonly source: string | undefined;
  /** The topic of its dead letters. */
  readonly target: string;
  /** Class and method, for messages. */
  readonly method: string;
}

/** Which topics receive the dead letters of a topic, as the code of this process declares it. */
export class DeadLetterRoutes {
  private readonly listeners: FailureListener[] = [];

  constructor(private readonly parts: DeadLetterRoutesParts) {}

  /** Whether any topic of this process has dead letters. */
  get isUsed(): boolean {
    return this.listeners.length > 0 || this.parts.registry.topics().some((topic) => this.ownTarget(topic));
  }

  /**
   * Sends the dead letters of a topic, or of all topics, to a topic with a handler in this process.
   *
   * @throws InvalidOptionsError when a topic would receive its own dead letters.
   */
  listen(listener: FailureListener): void {
    this.listeners.push(listener);
    this.assertNoCycle(listener.target);
  }

  /** @throws InvalidOptionsError when `@OnJobFailed` names a topic that has no handler in this process. */
  assertHandled(): void {
    const { registry } = this.parts;
    for (const { source, method } of this.listeners) {
      if (source !== undefined && !registry.get(source)) {
        const others = registry.topics().filter((topic) => !this.listeners.some(({ target }) => target === topic));
        throw new InvalidOptionsError(
          `@OnJobFailed of ${method}`,
          `'${source}' has no handler in this process; add one, or set deadLetter of its handler${suggestName(source, others)}`,
        );
      }
    }
  }

  /** Returns the topics that receive the dead letters of a topic, by name. */
  targets(topic: string): DeadLetterTarget[] {
    return this.targetNames(topic).map((name) => this.toTarget(name, topic));
  }

  /** @throws InvalidOptionsError when dead letters that pass this topic come back to it. */
  assertNoCycle(topic: string, path: readonly string[] = [topic]): void {
    for (const next of this.targetNames(path.at(-1)!)) {
      if (next === topic) {
        throw new InvalidOptionsError(
          'deadLetter',
          `expected topics that never receive their own dead letters, got ${[...path, next].join(' → ')}`,
        );
      }
      if (!path.includes(next)) {
        this.assertNoCycle(topic, [...path, next]);
      }
    }
  }

  private targetNames(topic: string): string[] {
    const own = this.ownTarget(topic);
    const listening = this.listeners.filter(({ source }) =>
      source === undefined ? !this.receivesDeadLetters(topic) : source === topic,
    );
    return [...new Set([...(own ? [own.topic] : []), ...listening.map(({ target }) => target)])].sort();
  }

  private receivesDeadLetters(topic: string): boolean {
    return (
      this.listeners.some(({ target }) => target === topic) ||
      this.parts.registry.topics().some((other) => this.ownTarget(other)?.topic === topic)
    );
  }

  /** Dead letters take their settings from the typed topic, the handler, then the module, like enqueued jobs. */
  private toTarget(topic: string, source: string): DeadLetterTarget {
    const { registry, maxRetries } = this.parts;
    const own = this.ownTarget(source);
    const typed = own?.topic === topic ? own : undefined;
    const handler = registry.get(topic)?.settings;
    return {
      topic,
      maxRetries: typed?.maxRetries ?? handler?.maxRetries ?? maxRetries,
      priority: typed?.priority ?? handler?.priority ?? 0,
    };
  }

  private ownTarget(topic: string) {
    return this.parts.registry.get(topic)?.settings.deadLetter;
  }
}
