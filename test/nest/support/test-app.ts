import type { INestApplication } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import { getRepositoryToken } from '@nestjs/typeorm';
import type { JobEvent, JobEventType } from 'nestjs-jobs';
import { Job, JobsService } from 'nestjs-jobs';
import type { DataSource, Repository } from 'typeorm';
import { until } from '../../support/wait.js';

export type EventOf<T extends JobEventType> = Extract<JobEvent, { type: T }>;

/** A started application with helpers for tests. */
export class TestApp {
  readonly jobs: JobsService;
  /** The repository of `_jobs`, on the queue's own DataSource. */
  readonly rows: Repository<Job>;
  /** All events of this application so far. */
  readonly events: JobEvent[] = [];
  private closing: Promise<void> | undefined;

  constructor(
    readonly module: TestingModule,
    readonly app: INestApplication,
    /** The application's DataSource, the first one if it has several. */
    readonly dataSource: DataSource,
  ) {
    this.jobs = module.get(JobsService, { strict: false });
    this.rows = module.get<Repository<Job>>(getRepositoryToken(Job), { strict: false });
    this.jobs.events.subscribe((event) => this.events.push(event));
  }

  /** Closes the application. Later calls do nothing. */
  close(): Promise<void> {
    this.closing ??= this.app.close();
    return this.closing;
  }

  /** Returns the events of a type so far, of one job or of all jobs. */
  eventsOf<T extends JobEventType>(type: T, id?: string): EventOf<T>[] {
    return this.events.filter(
      (event): event is EventOf<T> => event.type === type && (id === undefined || event.id === id),
    );
  }

  /** Waits for the `count`-th event of a type. */
  async event<T extends JobEventType>(type: T, id?: string, count = 1): Promise<EventOf<T>> {
    try {
      return (await until(() => this.eventsOf(type, id)[count - 1])) as EventOf<T>;
    } catch {
      const seen = this.events.map((event) => `${event.type} ${event.id}`).join(', ');
      throw new Error(`no event '${type}' number ${count} of job ${id ?? '(any)'}; received: ${seen}`);
    }
  }

  /** Returns the stored job. Throws if it does not exist. */
  async job(id: string): Promise<Job> {
    const job = await this.jobs.get(id);
    if (!job) {
      throw new Error(`there is no job ${id}`);
    }
    return job;
  }

  /** Waits for an event of the job and returns the stored job. */
  async jobAfter(type: JobEventType, id: string, count = 1): Promise<Job> {
    await this.event(type, id, count);
    return this.job(id);
  }
}
