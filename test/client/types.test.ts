import type { Capabilities, Job, JobPage, JobStats, Sender, StreamEvent } from 'nestjs-jobs/client';
import { JobsClient, PocketBaseJobs } from 'nestjs-jobs/client';

/** `true` only for identical types. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles if the result of the call has exactly this type. Nothing is called. */
function gives<Expected>() {
  return <Actual>(call: () => Actual, same: Same<Actual, Expected>) => ({ call, same });
}

interface Mail {
  to: string;
}

const mail: Mail = { to: 'a' };
const jobs = new JobsClient({ baseUrl: 'http://localhost' });
const sender: Sender = { send: async () => ({}) };

describe('the compiler', () => {
  it('infers the result of each call', () => {
    const calls = [
      gives<Promise<Job<Mail>>>()(() => jobs.enqueue('mail', mail), true),
      gives<Promise<Job>>()(() => jobs.get('id'), true),
      gives<Promise<Job<Mail>>>()(() => jobs.get<Mail>('id'), true),
      gives<Promise<JobPage<Mail>>>()(() => jobs.list<Mail>({ topic: 'mail' }), true),
      gives<Promise<Job<Mail>>>()(() => jobs.promote<Mail>('id'), true),
      gives<Promise<void>>()(() => jobs.delete('id'), true),
      gives<Promise<JobStats>>()(() => jobs.stats('mail'), true),
      gives<Promise<Capabilities>>()(() => jobs.capabilities(), true),
      gives<AsyncGenerator<Job<Mail>, void, undefined>>()(() => jobs.iterate<Mail>(), true),
      gives<AsyncGenerator<StreamEvent, void, undefined>>()(() => jobs.stream(), true),
      gives<Promise<Job>>()(() => new PocketBaseJobs(sender).requeue('id'), true),
    ];

    expect(calls.every(({ same }) => same)).toBe(true);
  });

  it('accepts options in camelCase and in snake_case', () => {
    const runAt = new Date();
    const calls = [
      () => jobs.enqueue('a', 1, { runAt, maxRetries: 1, uniqueKey: 'k', timeout: '30s', delay: 5 }),
      () => jobs.enqueue('a', 1, { run_at: '2030-01-01T00:00:00Z', max_retries: 1, unique_key: 'k' }),
      () =>
        jobs.enqueueMany([
          { topic: 'a', payload: 1, runAt },
          { topic: 'a', payload: 1, run_at: runAt },
        ]),
      () => jobs.list({ status: ['failed', 'cancelled'], createdFrom: runAt, created_to: '2030-01-01T00:00:00Z' }),
      () => jobs.requeue('id', { maxRetries: 1, run_at: runAt, payload: null }),
      () => jobs.bulk({ action: 'delete', filter: { createdTo: runAt }, dry_run: true }),
    ];

    expect(calls).toHaveLength(6);
  });

  it('rejects what the API rejects', () => {
    const calls = [
      // @ts-expect-error -- no such option
      () => jobs.enqueue('a', 1, { maxRetrys: 1 }),
      // @ts-expect-error -- a number
      () => jobs.enqueue('a', 1, { max_retries: '1' }),
      // @ts-expect-error -- the payload is missing
      () => jobs.enqueueMany([{ topic: 'a' }]),
      // @ts-expect-error -- no such status
      () => jobs.list({ status: 'done' }),
      // @ts-expect-error -- no such action
      () => jobs.bulk({ action: 'retry', ids: [] }),
      // @ts-expect-error -- the URL is missing
      () => new JobsClient({ path: 'api/jobs' }),
    ];

    expect(calls).toHaveLength(6);
  });

  it('requires more than a send function for a stream', () => {
    const isOffered: 'stream' extends keyof PocketBaseJobs ? true : false = false;

    expect(isOffered).toBe('stream' in PocketBaseJobs.prototype);
  });

  it('narrows the events of a stream by their type', () => {
    const count = (event: StreamEvent) => (event.type === 'stats' ? event.data.pending : event.data.topics.length);

    expect(count({ type: 'changed', data: { topics: ['a'] } })).toBe(1);
  });
});
