import type { Duration } from '../core/duration.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { Job } from '../core/job.js';
import type { InputFor, ResultFor, TopicLike } from '../core/job-topic.js';
import { toTopicName } from '../core/job-topic.js';
import { applyCheck, duration, readOptions } from '../core/option-checks.js';
import type { ExpectedJob } from './expectations.js';
import { checkEnqueued, readExpectation } from './expectations.js';
import type { HandlerRunOptions, RunPendingOptions } from './run-options.js';
import { HANDLER_RUN_OPTIONS, RUN_PENDING_OPTIONS } from './run-options.js';
import type { TestingEngine } from './testing-engine.js';

const advanceCheck = duration(1);

/**
 * Runs jobs in a test, checks what was enqueued, and moves the clock of the queue.
 *
 * @publicApi
 */
export class JobsTesting {
  constructor(private readonly queue: { readonly engine: TestingEngine | undefined }) {}

  /**
   * Runs the pending jobs that are due, one after another: lowest priority value first, then in the order in which they became due. Each
   * job runs once, with `recursive` until none is left. Jobs of paused topics wait.
   *
   * @returns the jobs that ran, as they are after their run, in that order.
   * @throws the handler's error, with `throwOnFailure`. Error after 500 rounds without `limit`: a handler may always enqueue another
   * job.
   */
  async runPending(options: RunPendingOptions = {}): Promise<Job[]> {
    return this.engine.runPending(readOptions(RUN_PENDING_OPTIONS, options));
  }

  /**
   * Calls the handler of a topic as for a job: with its schema, guards, pipes, interceptors and filters, and in a transaction if it is
   * transactional. Stores no row and retries nothing. `completeTx`, `progress`, `log` and `step`
   * write nothing.
   *
   * @param payload passes through JSON first, as in the database.
   * @returns what the handler returns.
   * @throws what the handler throws. UnrecoverableError if the schema, a guard or a pipe rejects the job, with the `cause`.
   */
  async run<T, Topic extends TopicLike = string>(
    topic: Topic,
    payload: InputFor<Topic, T>,
    options: HandlerRunOptions = {},
  ): Promise<ResultFor<Topic>> {
    const values = readOptions(HANDLER_RUN_OPTIONS, options);
    return this.engine.runHandler(toTopicName(topic), payload, values) as Promise<ResultFor<Topic>>;
  }

  /**
   * Checks that a job was enqueued, in whatever status it is now.
   *
   * @returns the jobs that match, oldest first.
   * @throws Error that lists the jobs in the table, nearest first.
   */
  async expectEnqueued<T = unknown, Topic extends TopicLike = string>(
    topic: Topic,
    expected: ExpectedJob<InputFor<Topic, T>> = {},
  ): Promise<Job<InputFor<Topic, T>, ResultFor<Topic>>[]> {
    return this.check(topic, expected) as Promise<Job<InputFor<Topic, T>, ResultFor<Topic>>[]>;
  }

  /**
   * Checks that no such job was enqueued.
   *
   * @throws Error that lists the jobs that match.
   */
  async expectNotEnqueued<T = unknown, Topic extends TopicLike = string>(
    topic: Topic,
    expected: Omit<ExpectedJob<InputFor<Topic, T>>, 'count'> = {},
  ): Promise<void> {
    await this.check(topic, { ...expected, count: 0 });
  }

  /**
   * Moves the clock of the queue forward. Schedules fire at each of their ticks; expired leases and old finished jobs are handled as if
   * the time had passed. In mode `'inline'` jobs run when they become due. Time moves for this application only, and never back.
   *
   * @throws InvalidOptionsError for an invalid duration. Error after 2,000 ticks and due times: advance in smaller steps.
   */
  async advance(time: Duration): Promise<void> {
    return this.engine.advance(applyCheck(advanceCheck, time, 'advance'));
  }

  private async check(topic: TopicLike, expected: unknown): Promise<Job[]> {
    const expectation = readExpectation(toTopicName(topic), expected);
    return checkEnqueued(await this.engine.allJobs(), expectation);
  }

  private get engine(): TestingEngine {
    const { engine } = this.queue;
    if (!engine) {
      throw new InvalidOptionsError(
        'JobsTestingModule',
        'the application has no queue; import JobsModule.forRoot() or JobsModule.forRootAsync() too',
      );
    }
    return engine;
  }
}
