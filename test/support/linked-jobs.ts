import { JobsEngine } from 'nestjs-jobs';
import type { NewJob } from '../../lib/core/job.js';
import type { Claim, Outcome } from '../../lib/core/job.js';
import type { JobStore } from '../../lib/store/job-store.js';
import type { Settled } from '../../lib/store/jobs/job-records.js';
import { claim, outcomes, settlement, TOPIC } from './job-rows.js';

/** A job of the default topic for a call with refs. */
export function linkedJob(ref: string, dependsOn?: string[], members: Partial<NewJob> = {}): NewJob {
  return { ref, topic: TOPIC, payload: ref, ...(dependsOn ? { dependsOn } : {}), ...members };
}

/** Stores jobs in one call. Returns their ids by ref. */
export async function enqueueLinked(store: JobStore, jobs: readonly NewJob[]): Promise<Record<string, string>> {
  const stored = await new JobsEngine({ store, role: 'producer' }).enqueueMany(jobs);
  return Object.fromEntries(stored.map((job, index) => [jobs[index]!.ref!, job.id]));
}

/** Claims the due jobs of the default topic by their payloads, which are their refs. */
export async function claimByRef(store: JobStore): Promise<Record<string, Claim>> {
  return Object.fromEntries((await claim(store)).map((claimed) => [claimed.payload as string, claimed]));
}

export function settleOne(store: JobStore, token: Claim, outcome: Outcome = outcomes.completed()): Promise<Settled[]> {
  return settleAll(store, [settlement(token, outcome)]);
}

/** Records outcomes, and waits for the follow-up of the jobs that have ended. */
export async function settleAll(store: JobStore, ...given: Parameters<JobStore['settle']>): Promise<Settled[]> {
  const settled = await store.settle(...given);
  await store.links.idle();
  return settled;
}
