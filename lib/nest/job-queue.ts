import type { FactoryProvider, ValueProvider } from '@nestjs/common';
import { Inject } from '@nestjs/common';
import type { JobDependencies } from '../core/dependencies.js';
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { InputFor, JobTopic, ResultFor } from '../core/job-topic.js';
import { toTypedTopic } from '../core/job-topic.js';
import type { EnqueueOptions, Job, JobFilter, JobPage } from '../core/job.js';
import { JobsService } from './jobs.service.js';

/** A job of a typed topic. */
type JobOf<Topic extends JobTopic> = Job<InputFor<Topic, never>, ResultFor<Topic>>;
/** The open transaction that `enqueueTx` takes. */
type Transaction = Parameters<JobsService['enqueueTx']>[0];

/**
 * Enqueues and lists the jobs of one typed topic. Inject it with {@link InjectJobs}. Its methods are those of `JobsService`, without the
 * topic.
 *
 * @publicApi
 */
export class JobQueue<Topic extends JobTopic> {
  constructor(
    private readonly jobs: JobsService,
    readonly topic: Topic,
  ) {}

  /** Stores a job and returns it. @throws as `JobsService.enqueue`. */
  enqueue(payload: InputFor<Topic, never>, options?: EnqueueOptions): Promise<JobOf<Topic>> {
    return this.jobs.enqueue(this.topic, payload, options);
  }

  /** Stores a job that does not start before `runAt`. @throws as `JobsService.enqueueAt`. */
  enqueueAt(payload: InputFor<Topic, never>, runAt: Date, options?: EnqueueOptions): Promise<JobOf<Topic>> {
    return this.jobs.enqueueAt(this.topic, payload, runAt, options);
  }

  /** Stores a job in the caller's open transaction. @throws as `JobsService.enqueueTx`. */
  enqueueTx(tx: Transaction, payload: InputFor<Topic, never>, options?: EnqueueOptions): Promise<JobOf<Topic>> {
    return this.jobs.enqueueTx(tx, this.topic, payload, options);
  }

  /** Stores all jobs or none, and returns them in the same order. @throws as `JobsService.enqueueMany`. */
  async enqueueMany(
    jobs: readonly (EnqueueOptions & JobDependencies & { readonly payload: InputFor<Topic, never> })[],
    options?: Parameters<JobsService['enqueueMany']>[1],
  ): Promise<JobOf<Topic>[]> {
    const stored = await this.jobs.enqueueMany(
      jobs.map((job) => ({ ...job, topic: this.topic })),
      options,
    );
    return stored as JobOf<Topic>[];
  }

  /** Returns a page of the topic's jobs, newest first. @throws as `JobsService.list`. */
  async list(filter: Omit<JobFilter, 'topic'> = {}): Promise<Omit<JobPage, 'items'> & { items: JobOf<Topic>[] }> {
    const page = await this.jobs.list({ ...filter, topic: this.topic });
    return { ...page, items: page.items as JobOf<Topic>[] };
  }
}

/** Token of the {@link JobQueue} of each topic that a class injects. */
const tokens = new Map<JobTopic, symbol>();

/**
 * Injects the {@link JobQueue} of a typed topic. `JobsModule` provides the queue of each topic that a class names here before the
 * application is created; a module that is loaded later lists {@link provideJobs} among its providers.
 *
 * @throws InvalidOptionsError at once for anything but the value of `defineJob`.
 *
 * @example
 * constructor(@InjectJobs(SendMail) private readonly mail: JobQueue<typeof SendMail>) {}
 *
 * @publicApi
 */
export function InjectJobs(topic: JobTopic): ParameterDecorator & PropertyDecorator {
  return Inject(findToken(topic, '@InjectJobs'));
}

/**
 * Provides the {@link JobQueue} of a topic in a test without `JobsModule`, or in a module that is loaded later.
 *
 * @param fake replaces the queue; it needs only the methods that the test calls. Default: a queue over the injected `JobsService`.
 * @throws InvalidOptionsError for anything but the value of `defineJob`.
 *
 * @publicApi
 */
export function provideJobs<Topic extends JobTopic>(
  topic: Topic,
  fake?: Partial<JobQueue<Topic>>,
): FactoryProvider<JobQueue<Topic>> | ValueProvider<Partial<JobQueue<Topic>>> {
  const provide = findToken(topic, 'provideJobs');
  return fake === undefined
    ? { provide, inject: [JobsService], useFactory: (jobs: JobsService) => new JobQueue(jobs, topic) }
    : { provide, useValue: fake };
}

/** Providers of the topics that classes have named so far. */
export function provideInjectedJobs(): FactoryProvider[] {
  return [...tokens.keys()].map((topic) => provideJobs(topic) as FactoryProvider);
}

function findToken(topic: JobTopic, caller: string): symbol {
  if (!toTypedTopic(topic, caller)) {
    throw new InvalidOptionsError(caller, `expected the value of defineJob(), got ${describeValue(topic)}`);
  }
  const token = tokens.get(topic) ?? Symbol(`JobQueue of '${topic.name}'`);
  tokens.set(topic, token);
  return token;
}
