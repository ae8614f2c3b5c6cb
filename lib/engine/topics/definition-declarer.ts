/*
 * Definitions. In: what the code of this process declares: schedules, and limits, retention and dead letters of topics. Out: rows of
 * `_jobs_definitions`, and in the rows of topics the definitions that apply. ../schedules/scheduler.ts writes those of schedules.
 *
 * Versions of an application that run side by side may declare different definitions. Of each name the definition applies that was first
 * seen last, among those that a live process declares. ../maintain/worker-presence.ts renews the declarations of this process.
 */
import type { ScheduleDefinition } from '../../core/schedule.js';
import { VERSION } from '../../core/version.js';
import type {
  Definition,
  DefinitionKind,
  DefinitionRef,
  DefinitionState,
} from '../../store/definitions/definition-records.js';
import { DECLARE_INTERVAL_MS, toDefinition } from '../../store/definitions/definition-records.js';
import type { PresenceReply } from '../../store/reports/report-records.js';
import type { DeadLetterRoutes } from './dead-letter-routes.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { SettlingPeriod } from './settling-period.js';

type DefinitionDeclarerParts = Pick<
  EngineParts,
  'store' | 'clock' | 'registry' | 'wakeSignal' | 'logger' | 'worker'
> & {
  readonly deadLetters: DeadLetterRoutes;
};

/** Names in one line of the log. */
const NAMED_MAX = 10;

/**
 * What the code of this process declares, and its way to the table. The dispatcher writes the definitions of topics before it claims, and the
 * pruner before it deletes: no claim ignores a limit of this process, and no job is deleted that a topic of this process keeps.
 */
export class DefinitionDeclarer {
  /** Topics whose definitions are not in the table yet, and those that are being written. */
  private readonly unwritten = new Set<string>();
  private readonly beingWritten = new Set<string>();
  private writing: Promise<void> | undefined;
  /** What the table has of this process, by kind and name. */
  private readonly written = new Map<string, Definition>();
  private readonly schedules = new Map<string, Definition>();
  private readonly settling: SettlingPeriod;
  private hasDefinitions = false;
  /** Definitions of this process that do not apply, and are in the log. */
  private reported: ReadonlySet<string> = new Set();

  constructor(private readonly parts: DefinitionDeclarerParts) {
    this.settling = new SettlingPeriod(parts.clock);
  }

  /** Adds a topic that has a handler now. If it receives the dead letters of other topics, their definitions change too. */
  add(topic: string): void {
    const { registry, deadLetters } = this.parts;
    (deadLetters.isUsed ? registry.topics() : [topic]).forEach((each) => this.unwritten.add(each));
  }

  addSchedule(name: string, definition: ScheduleDefinition): void {
    this.schedules.set(name, toDefinition('schedule', name, definition));
  }

  /** The process starts to claim: writes the definitions of all topics again. */
  start(): void {
    this.parts.registry.topics().forEach((topic) => this.unwritten.add(topic));
  }

  /** Whether `write` has anything to do. */
  get isPending(): boolean {
    return this.unwritten.size > 0 || this.beingWritten.size > 0;
  }

  /** Whether claims may read the limits of the topic. */
  isWritten(topic: string): boolean {
    return !this.unwritten.has(topic) && !this.beingWritten.has(topic);
  }

  /** The definitions of this process that the table has. */
  get refs(): readonly DefinitionRef[] {
    return [...this.written.values()];
  }

  /** Whether declarations of live processes may look old, so that the definition that applies stays. */
  get isSettling(): boolean {
    return this.settling.isSettling;
  }

  /** How long this process waits until it declares again; `undefined`: nothing is declared, and only its presence is recorded. */
  get intervalMs(): number | undefined {
    return this.hasDefinitions || this.written.size > 0 ? DECLARE_INTERVAL_MS : undefined;
  }

  /** Writes the definitions of topics. An option that a handler does not set declares nothing. */
  write(): Promise<void> {
    return (this.writing ??= this.writeTopics().finally(() => (this.writing = undefined)));
  }

  /** Writes the definitions of schedules. */
  writeSchedules(): Promise<void> {
    return this.declare([...this.schedules.values()], this.isSettling);
  }

  /** Writes all definitions again, except limits. For tests, which have one process, and in which no limit holds a job back. */
  async writeWithoutLimits(): Promise<void> {
    const topics = this.parts.registry.topics();
    const definitions = topics.flatMap((topic) => this.ofTopic(topic)).filter(({ kind }) => kind !== 'limits');
    await this.declare([...definitions, ...this.schedules.values()], false);
    this.unwritten.clear();
  }

  /**
   * Called after this process has recorded that it lives, with its definitions. Applies to topics what has changed.
   *
   * @param intervalMs how long it has planned to wait since the last call.
   * @returns whether schedules have to be written.
   */
  async onPresence({ now, hasDefinitions }: PresenceReply, intervalMs: number): Promise<boolean> {
    this.hasDefinitions = hasDefinitions;
    this.settling.record(now, intervalMs);
    if (this.intervalMs === undefined) {
      return false;
    }
    const { store } = this.parts;
    const { refs, isSettling } = this;
    const state = await store.definitions.state(refs, isSettling);
    if (!isSettling) {
      this.report(state.superseded);
    }
    if (state.areTopicsDue || state.isPruneDue) {
      this.announce(await store.definitions.apply(isSettling));
    }
    const isLost = state.known < refs.length;
    if (isLost) {
      this.start();
      await this.write();
    }
    return state.areSchedulesDue || isLost;
  }

  private async writeTopics(): Promise<void> {
    const topics = [...this.unwritten];
    topics.forEach((topic) => this.beingWritten.add(topic));
    this.unwritten.clear();
    try {
      for (const kind of ['limits', 'retention', 'dead_letters'] as const) {
        topics.forEach((topic) => this.written.delete(toKey({ kind, name: topic })));
      }
      await this.declare(
        topics.flatMap((topic) => this.ofTopic(topic)),
        this.isSettling,
      );
    } catch (error) {
      topics.forEach((topic) => this.unwritten.add(topic));
      throw error;
    } finally {
      this.beingWritten.clear();
    }
  }

  private async declare(definitions: readonly Definition[], isSettling: boolean): Promise<void> {
    if (definitions.length === 0) {
      return;
    }
    this.announce(await this.parts.store.definitions.declare(definitions, isSettling));
    definitions.forEach((definition) => this.written.set(toKey(definition), definition));
  }

  private announce(topics: readonly string[]): void {
    if (topics.length > 0) {
      this.parts.wakeSignal.announce([...topics]);
    }
  }

  private ofTopic(topic: string): Definition[] {
    const { registry, deadLetters } = this.parts;
    const { limits, retention } = registry.get(topic)?.settings ?? {};
    const targets = deadLetters.targets(topic);
    const define = (kind: DefinitionKind, value: unknown): Definition[] =>
      value === undefined ? [] : [toDefinition(kind, topic, value)];
    return [
      ...define('limits', limits),
      ...define('retention', retention),
      ...define('dead_letters', targets.length > 0 ? targets : undefined),
    ];
  }

  /** Logs the definitions of this process that do not apply, each once. */
  private report(superseded: DefinitionState['superseded']): void {
    const { logger, worker } = this.parts;
    const fresh = superseded.filter((each) => !this.reported.has(toKey(each)));
    this.reported = new Set(superseded.map(toKey));
    if (fresh.length === 0) {
      return;
    }
    const named = fresh.slice(0, NAMED_MAX).map(describe);
    const more = fresh.length > NAMED_MAX ? ` and ${fresh.length - NAMED_MAX} others` : '';
    logger.warn(
      `two versions run side by side: ${named.join(', ')}${more} of this process (${worker}, nestjs-jobs ${VERSION}) do not apply, ` +
        'because another live process declares what was first seen later; they apply when no process declares that any more',
    );
  }
}

const WORDS: Readonly<Record<DefinitionKind, string>> = {
  schedule: 'schedule',
  limits: 'limits of',
  retention: 'retention of',
  dead_letters: 'dead letters of',
};

function describe({ kind, name }: Pick<DefinitionRef, 'kind' | 'name'>): string {
  return `${WORDS[kind]} '${name}'`;
}

function toKey({ kind, name }: Pick<DefinitionRef, 'kind' | 'name'>): string {
  return `${kind} ${name}`;
}
