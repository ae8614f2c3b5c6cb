import type { DeadLetterTarget } from '../../lib/core/dead-letter.js';
import type { TopicRetention } from '../../lib/core/retention.js';
import type { TopicLimits } from '../../lib/core/topic-limits.js';
import type { Definition } from '../../lib/store/definitions/definition-records.js';
import { toDefinition } from '../../lib/store/definitions/definition-records.js';
import type { JobStore } from '../../lib/store/job-store.js';
import { WORKER_DETAILS } from './job-rows.js';
import type { StoreFixture } from './stores.js';

/** What the code of a process declares for a topic. */
export interface TopicDeclaration {
  readonly topic: string;
  readonly limits?: TopicLimits;
  readonly retention?: TopicRetention;
  readonly deadLetters?: readonly DeadLetterTarget[];
}

/** Declares these topics, as a process does at its start. Returns the topics that changed. */
export function declareTopics(store: JobStore, declarations: readonly TopicDeclaration[]): Promise<string[]> {
  return store.definitions.declare(declarations.flatMap(toDefinitions));
}

export function toDefinitions({ topic, limits, retention, deadLetters }: TopicDeclaration): Definition[] {
  return [
    limits && toDefinition('limits', topic, limits),
    retention && toDefinition('retention', topic, retention),
    deadLetters && toDefinition('dead_letters', topic, deadLetters),
  ].filter((each) => each !== undefined);
}

/** Makes definitions look as if no live process declares them. @param condition SQL; default: all. */
export async function orphanDefinitions(
  fixture: StoreFixture,
  { where = '1 = 1', ageMs = 60_000 }: { where?: string; ageMs?: number } = {},
): Promise<void> {
  const declared = new Date((await fixture.now()).getTime() - ageMs).toISOString().replace('T', ' ').slice(0, -1);
  await fixture.sql(`UPDATE _jobs_definitions SET declared = '${declared}' WHERE ${where}`);
}

/** Lets a process that declares nothing handle these topics. Returns the topics whose definitions changed. */
export async function handleTopics(store: JobStore, ...topics: string[]): Promise<string[]> {
  await store.reports.recordWorker('without-definitions', topics, WORKER_DETAILS);
  const changed = await store.definitions.apply();
  await store.reports.forgetWorker('without-definitions');
  return changed;
}
