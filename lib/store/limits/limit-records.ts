import type { DeadLetterTarget } from '../../core/dead-letter.js';
import type { TopicRetention } from '../../core/retention.js';
import type { DefinedLimits, TopicLimits } from '../../core/topic-limits.js';
import type { TopicDefinitionKind } from '../definitions/definition-records.js';

/* The rows and results of `LimitStore` in job-store.ts. */

/** What is stored of a topic: the definitions of its limits, and what the code declares. */
export interface StoredTopic {
  readonly topic: string;
  /** The definition of the code that applies; `null`: none. */
  readonly code: TopicLimits | null;
  /** An operator's setting, which applies instead; `null`: none. */
  readonly operator: TopicLimits | null;
  /** `null`: that of the module. */
  readonly retention: TopicRetention | null;
  readonly deadLetters: readonly DeadLetterTarget[];
  /** How many definitions live processes declare. Absent: none. */
  readonly live: Readonly<Partial<Record<TopicDefinitionKind, number>>>;
}

/** Returns the definition that applies; `undefined`: the topic has no limits. */
export function toDefinedLimits({ topic, code, operator }: StoredTopic): DefinedLimits | undefined {
  const limits = operator ?? code;
  return limits === null ? undefined : { topic, limits, source: operator ? 'operator' : 'code', codeLimits: code };
}

/** A topic, or one concurrency key of it. */
export interface LimitSelection {
  readonly topic: string;
  readonly key?: string;
}

/** The limits of a topic that apply, and what they allow now. */
export interface LimitState {
  readonly isPaused: boolean;
  /** Has limits, or jobs with a concurrency key. */
  readonly isLimited: boolean;
  readonly limitTotal: number | null;
  readonly limitKey: number | null;
  readonly rateLimit: number | null;
  /** Length of the rate's window. */
  readonly rateMs: number | null;
  readonly isRateByKey: boolean;
  /** Running jobs of the topic or the key, as claims count them. 0 when no limit counts them. */
  readonly running: number;
  /** When the rate allows the next start; `null`: now. */
  readonly nextStart: Date | null;
}

/** The database's time, and the state of each topic and key. */
export interface LimitStates {
  readonly now: Date;
  readonly states: readonly (LimitState & { readonly topic: string; readonly key: string | null })[];
}

/** A topic that is limited now. Counts its running jobs in any case. */
export interface LimitedTopic extends LimitState {
  readonly topic: string;
  /** Keys with due jobs. */
  readonly waitingKeys: number;
  /** Those of them whose limit of running jobs is reached. */
  readonly fullKeys: number;
  /** Those of them that no limit of keys prevents from starting a job. */
  readonly openKeys: number;
}
