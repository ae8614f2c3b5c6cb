import type { DeadLetterTarget } from '../../core/dead-letter.js';
import type { TopicRetention } from '../../core/retention.js';
import type { TopicLimits } from '../../core/topic-limits.js';
import type { LimitStore } from '../job-store.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import { PRUNED_STARTS_MAX } from './limited-claim.js';
import type { LimitSelection, LimitState, LimitStates, LimitedTopic, StoredTopic } from './limit-records.js';

interface LimitTableOptions {
  readonly statements: {
    readonly LIST_LIMITS: string;
    readonly LIMIT_STATES: string;
    readonly LIMITED_TOPICS: string;
    readonly SET_LIMITS: string;
  };
  /** Deletes up to `max` old starts, and returns their number. */
  readonly pruneStarts: (topic: string, max: number) => Promise<number>;
  readonly read: SqlQuery;
  readonly write: SqlQuery;
}

/** Reads and writes the limits of topics. */
export class LimitTable implements LimitStore {
  constructor(private readonly options: LimitTableOptions) {}

  async set(topic: string, limits: TopicLimits | null): Promise<void> {
    await this.options.write(this.options.statements.SET_LIMITS, [topic, limits && JSON.stringify(limits)]);
  }

  async list(topic: string | null = null): Promise<StoredTopic[]> {
    const rows = await this.options.read(this.options.statements.LIST_LIMITS, [topic]);
    return rows.map((row) => ({
      topic: row.topic as string,
      code: parse<TopicLimits>(row.code_limits),
      operator: parse<TopicLimits>(row.operator_limits),
      retention: parse<TopicRetention>(row.retention),
      deadLetters: parse<DeadLetterTarget[]>(row.dead_letters) ?? [],
      live: parse<StoredTopic['live']>(row.live) ?? {},
    }));
  }

  async states(selection: readonly LimitSelection[]): Promise<LimitStates> {
    const rows = await this.options.read(this.options.statements.LIMIT_STATES, [JSON.stringify(selection)]);
    const [first, ...states] = rows;
    return {
      now: new Date(Number(first!.paused_since)),
      states: states.map((row) => ({
        topic: row.topic as string,
        key: (row.key ?? null) as string | null,
        ...toLimitState(row),
      })),
    };
  }

  async limited(topics: readonly string[], keysMax: number): Promise<LimitedTopic[]> {
    const rows = await this.options.read(this.options.statements.LIMITED_TOPICS, [JSON.stringify(topics), keysMax]);
    return rows.map((row) => ({
      topic: row.topic as string,
      ...toLimitState(row),
      waitingKeys: Number(row.waiting_keys),
      fullKeys: Number(row.full_keys),
      openKeys: Number(row.open_keys),
    }));
  }

  async pruneStarts(topic: string): Promise<boolean> {
    return (await this.options.pruneStarts(topic, PRUNED_STARTS_MAX)) === PRUNED_STARTS_MAX;
  }
}

function parse<T>(text: unknown): T | null {
  return text === null ? null : (JSON.parse(text as string) as T);
}

function toLimitState(row: SqlRow): LimitState {
  return {
    isPaused: row.paused_since !== null,
    isLimited: Boolean(row.is_limited),
    limitTotal: numberOrNull(row.limit_total),
    limitKey: numberOrNull(row.limit_key),
    rateLimit: numberOrNull(row.rate_limit),
    rateMs: numberOrNull(row.rate_ms),
    isRateByKey: Boolean(row.rate_by_key),
    running: Number(row.running),
    nextStart: row.next_start === null ? null : new Date(Number(row.next_start)),
  };
}

function numberOrNull(value: unknown): number | null {
  return value === null ? null : Number(value);
}
