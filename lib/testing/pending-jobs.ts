import { InvalidOptionsError } from '../core/errors.js';
import type { JobEvent } from '../core/job-events.js';
import type { Claim, JobFilter } from '../core/job.js';
import { Job } from '../core/job.js';
import { PAGE_JOBS_MAX } from '../core/list-filter.js';
import { suggestNearest } from '../core/suggestion.js';
import type { JobAdmin } from '../engine/changes/job-admin.js';
import type { InnerParts } from '../engine/jobs-engine.js';
import type { ClaimResult } from '../store/jobs/job-records.js';
import { HAND_OVER_MS } from '../store/limits/limited-claim.js';
import type { PendingRun } from './run-options.js';

interface PendingJobsParts extends InnerParts {
  readonly jobs: JobAdmin;
}

/** Rounds of one recursive call without a limit: a handler may always enqueue the next job. */
const ROUNDS_MAX = 500;

/** Runs pending jobs, one after another, with the store and the job runner of the engine. */
export class PendingJobs {
  private lastRun: Promise<unknown> = Promise.resolve();
  /** How the last attempt of each job ended. */
  private readonly lastEvents = new Map<string, JobEvent>();
  /** What the handler of each job has thrown last. */
  private readonly thrown = new Map<string, unknown>();

  constructor(private readonly parts: PendingJobsParts) {}

  recordEvent(event: JobEvent): void {
    this.lastEvents.set(event.id, event);
  }

  /** @param job the argument of the handler: a job, or the jobs of a batch. */
  recordThrown(job: object, error: unknown): void {
    const jobs = (Array.isArray(job) ? job : [job]) as readonly { readonly id: string }[];
    jobs.forEach(({ id }) => this.thrown.set(id, error));
  }

  /** Resolves when the jobs of all calls have ended. */
  async idle(): Promise<void> {
    await this.lastRun;
  }

  /** Runs jobs after those of earlier calls have ended. @see JobsTesting.runPending */
  run(options: PendingRun): Promise<Job[]> {
    const run = this.lastRun.then(() => this.runNow(options));
    this.lastRun = run.catch(() => undefined);
    return run;
  }

  /** Returns the jobs to run, in their order. @throws InvalidOptionsError for a topic without a handler. */
  async find({ topic, scheduled }: Pick<PendingRun, 'topic' | 'scheduled'>): Promise<Job[]> {
    const { registry } = this.parts;
    const unknown = topic?.find((name) => !registry.get(name));
    if (unknown !== undefined) {
      throw unhandledTopic(unknown, registry.topics());
    }
    const claimable = registry.claimable().map((handler) => handler.topic);
    const topics = topic === null ? claimable : claimable.filter((name) => topic.includes(name));
    const filter = scheduled ? { status: 'pending' as const } : { due: true };
    const jobs = topics.length === 0 ? [] : await listAll(this.parts.jobs, { topic: topics, ...filter });
    return jobs.sort((a, b) => a.priority - b.priority || a.runAt.getTime() - b.runAt.getTime());
  }

  private async runNow(options: PendingRun): Promise<Job[]> {
    const { rescuer, heartbeat, progressWriter, logWriter } = this.parts;
    await rescuer.run();
    heartbeat.start();
    progressWriter.start();
    logWriter.start();
    try {
      return await this.runRounds(options);
    } finally {
      await Promise.all([heartbeat.stop(), progressWriter.stop(), logWriter.stop()]);
    }
  }

  /** Runs what is pending now; with `recursive` repeats that until nothing runs any more. */
  private async runRounds(options: PendingRun): Promise<Job[]> {
    const { limit, recursive } = options;
    const ran: Job[] = [];
    for (let round = 1; ; round += 1) {
      const before = ran.length;
      await this.runRound(options, ran);
      if (!recursive || ran.length === before || ran.length >= limit) {
        return ran;
      }
      if (round === ROUNDS_MAX && limit === Infinity) {
        throw new Error(
          `${ran.length} jobs ran, and more are due; does the handler of '${ran.at(-1)!.topic}' always enqueue another job? ` +
            'Call runPending with a limit',
        );
      }
    }
  }

  /** Runs each job once. Keys take turns, so a claim may return a job whose own turn comes later. */
  private async runRound({ limit, scheduled, throwOnFailure, ...which }: PendingRun, ran: Job[]): Promise<void> {
    const jobs = await this.find({ scheduled, ...which });
    if (scheduled) {
      await this.parts.store.promote(jobs.map(({ id }) => id));
    }
    const left = new Map(jobs.map((job) => [job.id, job]));
    let before: number;
    do {
      before = ran.length;
      for (const job of ran.length < limit ? [...left.values()] : []) {
        const ended = left.has(job.id) && ran.length < limit ? await this.runJob(job, limit - ran.length) : [];
        ran.push(...ended);
        ended.forEach(({ id }) => left.delete(id));
        ended.filter(() => throwOnFailure).forEach(({ id }) => this.throwFailure(this.lastEvents.get(id)!));
      }
    } while (ran.length > before && left.size > 0);
  }

  /** Runs a job, unless it cannot run any more, and other jobs of its batch. Returns them as they are after their run. */
  private async runJob(job: Job, limit: number): Promise<Job[]> {
    const { store, runner } = this.parts;
    const [waiting] = await store.find([job.id]);
    const claims = waiting?.status === 'pending' ? await this.claim(waiting, limit) : [];
    await runner.allSettled();
    const ended = await store.find(claims.map(({ id }) => id));
    // A finished job that is not kept is not in the table any more.
    const toGone = (claim: Claim): Job =>
      Object.assign(new Job(), job, claim, { status: this.lastEvents.get(claim.id)!.type });
    return claims.map((claim) => ended.find(({ id }) => id === claim.id) ?? toGone(claim));
  }

  /** Starts a pending job, or a batch. Returns the claims; none if its topic is paused. */
  private async claim({ topic, priority, runAt, concurrencyKey }: Job, limit: number): Promise<readonly Claim[]> {
    const { store, runner, clock, leaseMs, worker, registry } = this.parts;
    const { size = 1, waitMs = 0 } = registry.get(topic)!.settings.batch ?? {};
    const lane = { topic, priority, lowerBound: runAt.toISOString(), limit: Math.min(size, limit) };
    const sentMs = clock.now();
    const request = { from: 'lanes' as const, lanes: [lane], limit: lane.limit, leaseMs, worker };
    const ordinary = concurrencyKey === null ? (await store.claim(request)).claims : [];
    const claims = ordinary.length > 0 ? ordinary : await this.claimLimited(topic, priority, lane.limit);
    // A batch that is not full does not wait: its first job counts as claimed before.
    claims.forEach((claim) => runner.accept(claim, clock.now() - waitMs, sentMs + leaseMs));
    return claims;
  }

  /** Claims from a topic with limits, or jobs with a concurrency key. */
  private async claimLimited(topic: string, priority: number, limit: number): Promise<readonly Claim[]> {
    const { store, leaseMs, worker } = this.parts;
    const request = {
      ...{ from: 'topic' as const, topic, priorities: [priority], hasKeyed: true, limit, leaseMs, worker },
      handOverMs: HAND_OVER_MS,
    };
    let claim: ClaimResult;
    do {
      claim = await store.claim(request);
    } while (claim.rest === 'cut' && claim.claims.length === 0);
    return claim.claims;
  }

  private throwFailure(event: JobEvent): void {
    if (event.type === 'failed' || event.type === 'retrying') {
      const thrown = this.thrown.get(event.id);
      throw thrown instanceof Error ? thrown : new Error(event.error.message, { cause: thrown });
    }
  }
}

export function unhandledTopic(topic: string, known: readonly string[]): InvalidOptionsError {
  return new InvalidOptionsError(
    'topic',
    `'${topic}' has no handler in this application${suggestNearest(topic, known)}`,
  );
}

/** Returns all jobs that match, oldest first. */
export async function listAll(admin: JobAdmin, filter: JobFilter = {}): Promise<Job[]> {
  const jobs: Job[] = [];
  let cursor: string | undefined;
  do {
    const { items, nextCursor } = await admin.list({ ...filter, limit: PAGE_JOBS_MAX, cursor });
    jobs.push(...items);
    cursor = nextCursor ?? undefined;
  } while (cursor !== undefined);
  return jobs.reverse();
}
