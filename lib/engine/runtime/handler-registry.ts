import { InvalidOptionsError } from '../../core/errors.js';
import type { JobHandlerFunction } from '../../core/job-handler.js';
import type { HandlerSettings, JobHandlerOptions } from '../../core/job-options.js';
import { readHandlerOptions, readTopicOptions } from '../../core/job-options.js';
import type { AnySchema, ConcurrencyKeyFunction, TopicLike } from '../../core/job-topic.js';
import { toTopicName, toTypedTopic } from '../../core/job-topic.js';
import type { JobsLogger } from '../../core/logger.js';
import type { JobsSettings } from '../../core/options.js';
import type { TopicRetention } from '../../core/retention.js';
import { assertSameLimits } from '../../core/topic-limits.js';

/** The handler of a topic in this process. */
export interface RegisteredHandler {
  readonly topic: string;
  readonly run: JobHandlerFunction;
  readonly settings: HandlerSettings;
  /** Validates payloads before the handler is called. */
  readonly schema: AnySchema | undefined;
  /** Returns the concurrency key of a job from its payload. */
  readonly concurrencyKey: ConcurrencyKeyFunction<never> | undefined;
  /** Class and method, or `register()`; for messages. */
  readonly source: string;
}

interface HandlerRegistryOptions {
  /** Whether this process claims jobs. Default `true`. */
  readonly isClaiming?: boolean;
  /** The only topics that this process claims; `undefined` means all with a handler. */
  readonly topics: readonly string[] | undefined;
  /** Whether handlers may be transactional. */
  readonly canRunTransactions: boolean;
  /** Decides the advice where they may not. */
  readonly database?: 'postgres' | 'sqlite';
}

/** The handlers of this process, by topic. */
export class HandlerRegistry {
  /** Whether this process claims jobs. A producer does so only during `runDue`. */
  isClaiming: boolean;
  private readonly handlers = new Map<string, RegisteredHandler>();
  private readonly claimed = new Set<string>();
  private readonly ownRetentions: TopicRetention[] = [];

  constructor(private readonly options: HandlerRegistryOptions) {
    this.isClaiming = options.isClaiming ?? true;
  }

  /**
   * @param method class and method, if the handler has them.
   * @throws InvalidOptionsError when the topic has a handler already, or an option is invalid.
   */
  register(topicLike: TopicLike, run: JobHandlerFunction, options?: JobHandlerOptions, method?: string): void {
    const option = method === undefined ? 'topic' : `topic of ${method}`;
    const typed = toTypedTopic(topicLike, option);
    const topic = toTopicName(topicLike, option);
    const source = method ?? 'register()';
    if (typeof run !== 'function') {
      throw new InvalidOptionsError(`handler of '${topic}'`, 'expected a function');
    }
    const other = this.handlers.get(topic);
    if (other) {
      throw new InvalidOptionsError('topic', `'${topic}' has two handlers, ${describeBoth(other.source, source)}`);
    }
    const settings = readHandlerOptions(topic, typed ? mergeOptions(typed.options, options) : options, method);
    const { schema, concurrencyKey } = typed ?? {};
    const handler = Object.freeze({ topic, run, settings, source, schema, concurrencyKey });
    this.assertRunnable(handler);
    const ofTopic = typed && readTopicOptions(topic, typed.options).limits;
    assertSameLimits(topic, settings.limits, ofTopic, `give them in one place; the handler is ${source}`);
    this.handlers.set(topic, handler);
    if (settings.retention) {
      this.ownRetentions.push(settings.retention);
    }
    if (this.options.topics?.includes(topic) ?? true) {
      this.claimed.add(topic);
    }
  }

  /** The retentions that handlers declare. */
  get retentions(): readonly TopicRetention[] {
    return this.ownRetentions;
  }

  get(topic: string): RegisteredHandler | undefined {
    return this.handlers.get(topic);
  }

  /** The topics with a handler here, whether this process claims them or not. */
  topics(): string[] {
    return [...this.handlers.keys()];
  }

  /** Whether this process claims the jobs of the topic. */
  claims(topic: string): boolean {
    return this.isClaiming && this.claimed.has(topic);
  }

  /** The handlers whose jobs this process claims. */
  claimable(): RegisteredHandler[] {
    return [...this.handlers.values()].filter(({ topic }) => this.claims(topic));
  }

  /** Logs the topics that this process runs, and those of the option `topics` that have no handler. */
  describe(logger: JobsLogger, role: JobsSettings['role']): void {
    const orphans = (this.options.topics ?? []).filter((topic) => !this.handlers.has(topic));
    if (orphans.length > 0) {
      const names = orphans.map((topic) => `'${topic}'`).join(', ');
      logger.warn(`the option topics names ${names}, for which this process has no handler`);
    }
    const topics = this.claimable().map(({ topic }) => topic);
    if (topics.length > 0) {
      logger.log(`runs the jobs of ${topics.join(', ')}`);
    } else if (role === 'worker' && this.handlers.size === 0) {
      logger.warn('no @JobHandler found, so this worker runs no jobs: is its class among the providers of a module?');
    } else {
      logger.log('has no handlers yet, and runs no jobs');
    }
  }

  private assertRunnable({ topic, run, settings, source }: RegisteredHandler): void {
    if (settings.batch && run.length === 0) {
      throw new InvalidOptionsError(
        `handler of '${topic}'`,
        'expected a function that takes the jobs of a batch, got one without parameters; write (jobs) => …',
      );
    }
    if (settings.transactional && !this.options.canRunTransactions) {
      throw new InvalidOptionsError(
        'transactional',
        this.options.database === 'postgres'
          ? `the handler of '${topic}' (${source}) needs transactions of your ORM; pass the option transactions: ` +
              '(work) => prisma.$transaction((tx) => work(fromPrisma(tx)))'
          : `the handler of '${topic}' (${source}) needs PostgreSQL; on SQLite call job.completeTx(manager) at the end of your own ` +
              'transaction, since one as long as the handler would block every other writer of the file',
      );
    }
  }
}

function describeBoth(first: string, second: string): string {
  return first === second && first !== 'register()'
    ? `both ${first}: its class is provided twice; provide it once and export it, or name it again with useExisting`
    : `${first} and ${second}; one is allowed`;
}

/** Adds the options of the typed topic that the handler leaves `undefined`. */
function mergeOptions(topicOptions: JobHandlerOptions, given: JobHandlerOptions | undefined): JobHandlerOptions {
  const isAbsent = ([name]: [string, unknown]): boolean => given?.[name as keyof JobHandlerOptions] === undefined;
  return { ...given, ...Object.fromEntries(Object.entries(topicOptions).filter(isAbsent)) };
}
