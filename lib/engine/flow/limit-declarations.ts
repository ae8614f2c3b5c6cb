import type { EngineParts } from '../engine-parts.js';

type LimitDeclarationsParts = Pick<EngineParts, 'store' | 'registry' | 'wakeSignal'>;

/**
 * The limits that the code of this process declares, and their way to the table. The dispatcher writes them before it claims, so that no
 * claim ignores a limit of this process. The process that starts last wins.
 */
export class LimitDeclarations {
  private readonly unwritten = new Set<string>();

  constructor(private readonly parts: LimitDeclarationsParts) {}

  /** A topic has a handler now. */
  add(topic: string): void {
    this.unwritten.add(topic);
  }

  /** The process starts to claim: writes the declarations of all handlers again. */
  start(): void {
    this.parts.registry.topics().forEach((topic) => this.add(topic));
  }

  /** Whether `write` has anything to do. */
  get isPending(): boolean {
    return this.unwritten.size > 0;
  }

  /** Whether claims may read the limits of the topic. */
  isWritten(topic: string): boolean {
    return !this.unwritten.has(topic);
  }

  /** Writes what this process declares, in one statement. A handler without limits removes the declaration of an older version. */
  async write(): Promise<void> {
    const { store, registry, wakeSignal } = this.parts;
    const topics = [...this.unwritten];
    const changed = await store.limits.declare(
      topics.map((topic) => ({ topic, limits: registry.get(topic)?.settings.limits ?? null })),
    );
    topics.forEach((topic) => this.unwritten.delete(topic));
    if (changed.length > 0) {
      wakeSignal.announce(changed);
    }
  }
}
