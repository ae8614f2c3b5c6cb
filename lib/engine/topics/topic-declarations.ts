import type { TopicDeclaration } from '../../store/limits/limit-records.js';
import type { DeadLetterRoutes } from './dead-letter-routes.js';
import type { EngineParts } from '../runtime/engine-parts.js';

type TopicDeclarationsParts = Pick<EngineParts, 'store' | 'registry' | 'wakeSignal'> & {
  readonly deadLetters: DeadLetterRoutes;
};

/**
 * What the code of this process declares for its topics, and its way to the table. The dispatcher writes it before it claims, and the
 * pruner before it deletes: no claim ignores a limit of this process, and no job is deleted that a topic of this process keeps. The
 * process that starts last wins.
 */
export class TopicDeclarations {
  private readonly unwritten = new Set<string>();

  constructor(private readonly parts: TopicDeclarationsParts) {}

  /** Adds a topic that has a handler now. If it receives the dead letters of other topics, their declarations change too. */
  add(topic: string): void {
    const { registry, deadLetters } = this.parts;
    (deadLetters.isUsed ? registry.topics() : [topic]).forEach((each) => this.unwritten.add(each));
  }

  /** The process starts to claim: writes the declarations of all handlers again. */
  start(): void {
    this.parts.registry.topics().forEach((topic) => this.unwritten.add(topic));
  }

  /** Whether `write` has anything to do. */
  get isPending(): boolean {
    return this.unwritten.size > 0;
  }

  /** Whether claims may read the limits of the topic. */
  isWritten(topic: string): boolean {
    return !this.unwritten.has(topic);
  }

  /** Writes what this process declares, in one statement. A handler without an option removes the declaration of an older version. */
  async write(): Promise<void> {
    const { store, wakeSignal } = this.parts;
    const topics = [...this.unwritten];
    const changed = await store.limits.declare(topics.map((topic) => this.toDeclaration(topic)));
    topics.forEach((topic) => this.unwritten.delete(topic));
    if (changed.length > 0) {
      wakeSignal.announce(changed);
    }
  }

  /** Writes retention and dead letters, if any topic has them. For tests, in which no limit holds a job back. */
  async writeWithoutLimits(): Promise<void> {
    const { store, registry, deadLetters } = this.parts;
    if (deadLetters.isUsed || registry.retentions.length > 0) {
      const declarations = registry.topics().map((topic) => ({ ...this.toDeclaration(topic), limits: null }));
      await store.limits.declare(declarations);
    }
    this.unwritten.clear();
  }

  private toDeclaration(topic: string): TopicDeclaration {
    const { registry, deadLetters } = this.parts;
    const { limits = null, retention } = registry.get(topic)?.settings ?? {};
    const targets = deadLetters.targets(topic);
    return { topic, limits, retention, deadLetters: targets.length > 0 ? targets : undefined };
  }
}
