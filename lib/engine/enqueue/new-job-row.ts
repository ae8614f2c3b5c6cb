import { createId } from '../runtime/create-id.js';
import type { Backoff } from '../../core/backoff.js';
import { InvalidOptionsError, InvalidPayloadError, PayloadTooLargeError } from '../../core/errors.js';
import type { Expiry } from '../../core/expiry.js';
import { assertDueBeforeExpiry } from '../../core/expiry.js';
import type { Idempotency } from '../../core/job.js';
import { LABELS_MAX } from '../../core/job-checks.js';
import type { EnqueueSettings } from '../../core/job-options.js';
import { readTopicOptions } from '../../core/job-options.js';
import type { AnySchema, ConcurrencyKeyFunction, TopicLike } from '../../core/job-topic.js';
import { readConcurrencyKey, toTopicName, toTypedTopic, validatePayload } from '../../core/job-topic.js';
import { assertSameLimits } from '../../core/topic-limits.js';
import type { UniqueMode } from '../../core/unique-key.js';
import type { JobInsert, PayloadReplacement } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';

/** A topic with the defaults for its jobs. */
interface ResolvedTopic {
  readonly name: string;
  readonly schema: AnySchema | undefined;
  readonly maxRetries: number;
  readonly priority: number;
  readonly labels: readonly string[] | undefined;
  readonly expiresInMs: number | undefined;
  readonly concurrencyKey: ConcurrencyKeyFunction<never> | undefined;
}

/** Of a topic that is a plain name, and has no handler in this process. */
const NOT_TYPED = { schema: undefined, concurrencyKey: undefined };
const NO_OPTIONS = {
  maxRetries: undefined,
  priority: undefined,
  labels: undefined,
  expiresInMs: undefined,
  limits: undefined,
};

/**
 * Defaults come from the typed topic, then from its handler in this process, then from the module. `priority` has no module default and
 * is 0.
 */
export function resolveTopic(
  topic: TopicLike,
  hint: string,
  { registry, maxRetries }: Pick<EngineParts, 'registry' | 'maxRetries'>,
): ResolvedTopic {
  const typed = toTypedTopic(topic, 'topic', hint);
  const name = toTopicName(topic);
  const handler = registry.get(name);
  const options = typed ? readTopicOptions(name, typed.options) : NO_OPTIONS;
  const ofHandler = handler?.settings ?? NO_OPTIONS;
  if (handler) {
    assertSameLimits(name, ofHandler.limits, options.limits, 'give its value to the handler, and not the name');
  }
  const { schema, concurrencyKey } = typed ?? handler ?? NOT_TYPED;
  return { name, schema, concurrencyKey, ...toDefaults(options, ofHandler, maxRetries) };
}

type JobDefaults = Pick<ResolvedTopic, 'maxRetries' | 'priority' | 'labels' | 'expiresInMs'>;

function toDefaults(
  options: Partial<JobDefaults>,
  ofHandler: Partial<JobDefaults>,
  maxRetries: JobDefaults['maxRetries'],
): JobDefaults {
  return {
    maxRetries: options.maxRetries ?? ofHandler.maxRetries ?? maxRetries,
    priority: options.priority ?? ofHandler.priority ?? 0,
    labels: options.labels ?? ofHandler.labels,
    expiresInMs: options.expiresInMs ?? ofHandler.expiresInMs,
  };
}

/**
 * A row to insert. It copies its input, so that the caller may change or reuse its objects.
 * A class, because calls with a thousand jobs are 8 % faster than with literals (docs/adr/0020-short-lived-objects.md).
 */
export class NewJobRow implements JobInsert {
  readonly id = createId();
  readonly topic: string;
  readonly schema: AnySchema | undefined;
  runAt: Date | null;
  readonly delayMs: number;
  readonly maxRetries: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
  readonly backoff: Backoff | null;
  readonly uniqueKey: string | null;
  readonly uniqueMode: UniqueMode | null;
  concurrencyKey: string | null;
  /** Returns the concurrency key from the payload; `undefined` when the call gives the key, or the topic has no function. */
  readonly toKey: ConcurrencyKeyFunction<never> | undefined;
  readonly labels: readonly string[] | null;
  readonly metadata: string | null;
  readonly expiry: Expiry | null;
  // Without values of their own: most rows have none.
  declare isWatched?: boolean;
  declare replacement?: PayloadReplacement;

  /**
   * @param payload JSON text. A codec replaces it before the insert.
   * @param path `jobs[3]` for a job of a list; names it in errors.
   */
  constructor(
    topic: ResolvedTopic,
    public payload: string,
    settings: EnqueueSettings,
    readonly idempotency: Idempotency | null,
    readonly path: string | undefined,
  ) {
    this.topic = topic.name;
    this.schema = topic.schema;
    this.runAt = settings.runAt ?? null;
    this.delayMs = settings.delayMs;
    this.maxRetries = settings.maxRetries ?? topic.maxRetries;
    this.priority = settings.priority ?? topic.priority;
    this.timeoutMs = settings.timeoutMs ?? null;
    this.backoff = settings.backoff ?? null;
    this.uniqueKey = settings.uniqueKey ?? null;
    this.uniqueMode = settings.uniqueMode ?? null;
    this.concurrencyKey = settings.concurrencyKey ?? null;
    this.toKey = settings.concurrencyKey === undefined ? topic.concurrencyKey : undefined;
    this.labels = joinLabels(topic.labels, settings.labels);
    this.metadata = settings.metadata ?? null;
    this.expiry = toExpiry(settings, topic);
    if (this.expiry) {
      assertDueBeforeExpiry(this, this.expiry, Date.now());
    }
  }
}

/** @throws InvalidOptionsError when the labels of the topic and those of the call are too many together. */
function joinLabels(
  ofTopic: readonly string[] | undefined,
  given: readonly string[] | undefined,
): readonly string[] | null {
  if (ofTopic === undefined && given === undefined) {
    return null;
  }
  const labels = [...new Set([...(ofTopic ?? []), ...(given ?? [])])];
  if (labels.length > LABELS_MAX) {
    throw new InvalidOptionsError(
      'labels',
      `expected at most ${LABELS_MAX} with those of the topic, got ${labels.length}`,
    );
  }
  return labels.length === 0 ? null : labels;
}

function toExpiry({ expiresAt, expiresInMs }: EnqueueSettings, topic: ResolvedTopic): Expiry | null {
  const inMs = expiresInMs ?? topic.expiresInMs;
  return expiresAt ? { at: expiresAt } : inMs === undefined ? null : { inMs };
}

/**
 * Checks payloads against the schemas of their topics, one after another, and reads the concurrency keys. Both see the stored JSON,
 * because that is what the handler receives.
 *
 * @throws InvalidPayloadError for the first payload that its schema rejects; the errors of `readConcurrencyKey`.
 */
export async function validatePayloads(rows: readonly NewJobRow[]): Promise<void> {
  for (const row of rows) {
    const { schema, payload, topic, path } = row;
    try {
      if (schema) {
        await validatePayload(schema, JSON.parse(payload), topic);
      }
      fillConcurrencyKey(row);
    } catch (error) {
      throw path === undefined ? error : withPath(path, error);
    }
  }
}

/** Reads the concurrency key from the payload if the topic has a function for it. @throws the errors of `readConcurrencyKey`. */
export function fillConcurrencyKey(row: NewJobRow): void {
  if (row.toKey) {
    row.concurrencyKey = readConcurrencyKey(row.topic, row.toKey, JSON.parse(row.payload)) ?? null;
  }
}

/** Returns a copy whose path is prefixed (`jobs[3].payload`); other errors unchanged. */
export function withPath(path: string, error: unknown): unknown {
  if (error instanceof InvalidPayloadError) {
    return new InvalidPayloadError(`${path}.${error.path}`, error.reason, {
      cause: error.cause,
      topic: error.topic,
      issues: error.issues.map((issue) => ({ ...issue, path: `${path}.${issue.path}` })),
    });
  }
  if (error instanceof PayloadTooLargeError) {
    return new PayloadTooLargeError(`${path}.${error.subject}`, error.bytes, error.bytesMax, error.form);
  }
  if (error instanceof InvalidOptionsError) {
    return new InvalidOptionsError(`${path}.${error.option}`, error.reason, { cause: error.cause });
  }
  return error;
}

/** Members that the queue adds to the metadata of a job: JSON texts by name. */
export type MetadataMembers = ReadonlyMap<string, string>;

/** Returns settings whose metadata has these members too. The application's own metadata has no such names. */
export function addMembers(settings: EnqueueSettings, members: MetadataMembers | undefined): EnqueueSettings {
  if (!members || members.size === 0) {
    return settings;
  }
  const added = Array.from(members, ([name, json]) => `${JSON.stringify(name)}:${json}`);
  const own = settings.metadata?.slice(1, -1);
  return { ...settings, metadata: `{${[...(own ? [own] : []), ...added].join(',')}}` };
}
