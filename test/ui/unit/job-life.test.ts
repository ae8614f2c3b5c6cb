import type { Job, TimeseriesPoint } from '../../../client/index.js';
import { bucketMinutes, toBuckets, toTimes } from '../../../ui/src/data/buckets.js';
import { actionsFor, findRefusal } from '../../../ui/src/data/job-actions.js';
import { toClientCall, toCurl } from '../../../ui/src/data/snippets.js';
import { buildFoldedTimeline, buildTimeline } from '../../../ui/src/data/timeline.js';

const at = (second: number): string => new Date(Date.UTC(2030, 0, 1, 0, 0, second)).toISOString();

const JOB: Job = {
  id: '01a2124a-3e1f-7438-9089-38eccb0ca85e',
  topic: "it's",
  payload: { orderId: 7 },
  status: 'pending',
  run_at: at(0),
  locked_until: null,
  locked_by: null,
  attempt: 0,
  retries: 0,
  max_retries: 3,
  priority: 0,
  timeout_ms: null,
  last_error: null,
  failed_because: null,
  errors: [],
  result: null,
  progress: null,
  steps: [],
  actions: [],
  unique_key: null,
  concurrency_key: null,
  labels: [],
  expires_at: null,
  metadata: null,
  cancel_requested: false,
  started: null,
  finished: null,
  created: at(0),
  updated: at(0),
  waiting_because: null,
};
const failure = (attempt: number, second: number) => ({
  attempt,
  started: at(second),
  finished: at(second + 2),
  message: 'no',
  name: null,
  stack: null,
  worker: null,
});
const titles = (job: Job): string[] => buildTimeline(job).map((entry) => ('note' in entry ? entry.note : entry.title));

describe('a job that waits for others', () => {
  const blocked: Job = { ...JOB, blocked: true, waiting_on: 2, run_at: null };

  it('cannot be run now, and is not due at a known time', () => {
    expect(actionsFor(blocked)).toEqual(['cancel', 'delete']);
    expect(titles(blocked)).toEqual(['Created']);
  });
});

describe('the timeline of a job', () => {
  it('starts with its creation and shows its due time', () => {
    expect(titles(JOB)).toEqual(['Created']);
    expect(titles({ ...JOB, run_at: at(60) })).toEqual(['Created', 'Due']);
  });

  it('lists every attempt with its duration and the waits between attempts', () => {
    const job: Job = {
      ...JOB,
      status: 'failed',
      attempt: 2,
      retries: 1,
      errors: [failure(1, 5), failure(2, 10)],
      finished: at(12),
    };
    expect(buildTimeline(job)).toMatchObject([
      { title: 'Created' },
      { title: 'Attempt 1 failed', tookMs: 2_000, afterMs: 5_000 },
      { title: 'Attempt 2 failed', tookMs: 2_000, afterMs: 3_000 },
      { title: 'Failed: no retries left', afterMs: 0 },
    ]);
    const unrecoverable: Job = { ...job, failed_because: { code: 'unrecoverable', text: '' } };
    expect(titles(unrecoverable).at(-1)).toBe('Failed: the error allows no retry');
    expect(titles({ ...job, status: 'pending', finished: null, run_at: at(90) }).at(-1)).toBe('Next attempt due');
  });

  it('ends with the final status', () => {
    expect(titles({ ...JOB, status: 'completed', attempt: 1, started: at(1), finished: at(3) })).toEqual([
      'Created',
      'Attempt 1',
      'Completed',
    ]);
    expect(titles({ ...JOB, status: 'completed', attempt: 1, finished: at(3) })).toEqual(['Created', 'Completed']);
    expect(titles({ ...JOB, status: 'processing', attempt: 1, started: at(1) }).at(-1)).toBe('Attempt 1 is running');
    expect(titles({ ...JOB, status: 'cancelled', finished: at(1) }).at(-1)).toBe('Cancelled');
    const expired = { ...JOB, status: 'cancelled', finished: at(1), last_error: 'expired', expires_at: at(1) } as const;
    expect(titles(expired).at(-1)).toBe('Expired before it started');
  });

  it('is shown newest first, with equal errors as one event', () => {
    const messages = ['timeout of 5000 ms', 'timeout of 5003 ms', 'refused', 'timeout of 5000 ms'];
    const errors = messages.map((message, index) => ({ ...failure(index + 1, index * 10), message }));
    const folded = buildFoldedTimeline({ ...JOB, attempt: 4, retries: 4, errors, run_at: at(90) });
    expect(folded).toMatchObject([
      { title: 'Next attempt due' },
      { title: 'Attempt 4 failed' },
      { title: 'Attempt 3 failed' },
      {
        title: 'Attempts 1–2 failed',
        times: 2,
        first: { attempt: 1, at: at(0) },
        at: at(10),
        failure: { message: messages[1] },
      },
      { title: 'Created' },
    ]);
  });

  it('shows which errors are not stored', () => {
    const errors = Array.from({ length: 20 }, (_, index) => failure(6 + index, index));
    const job: Job = { ...JOB, status: 'failed', attempt: 25, retries: 24, max_retries: 24, errors, finished: at(30) };
    expect(titles(job).slice(0, 3)).toEqual(['Created', 'Attempts 1–5 (errors no longer kept)', 'Attempt 6 failed']);
    expect(titles(job)).toHaveLength(23);
    expect(titles({ ...job, attempt: 3, retries: 2, errors: [] })[1]).toBe('Attempts 1–3 (errors no longer kept)');
  });

  it('shows which attempts ended without an error', () => {
    const endedQuietly = (attempts: string) => `${attempts} ended without an error: released, snoozed or cancelled`;
    const job: Job = { ...JOB, attempt: 5, retries: 1, errors: [failure(2, 5)] };
    expect(titles({ ...job, status: 'completed', started: at(9), finished: at(10) })).toEqual([
      'Created',
      endedQuietly('Attempt 1'),
      'Attempt 2 failed',
      endedQuietly('Attempts 3–4'),
      'Attempt 5',
      'Completed',
    ]);
    expect(titles({ ...job, run_at: at(20) }).slice(3)).toEqual([endedQuietly('Attempts 3–5'), 'Next attempt due']);
    expect(titles({ ...JOB, status: 'cancelled', attempt: 1, finished: at(1) })).toEqual([
      'Created',
      endedQuietly('Attempt 1'),
      'Cancelled',
    ]);
  });

  it('shows what callers have done where it happened, and who has cancelled the job', () => {
    const anna = { via: 'api', by: 'anna' } as const;
    const job: Job = {
      ...JOB,
      attempt: 2,
      retries: 0,
      status: 'cancelled',
      finished: at(70),
      errors: [failure(1, 10), failure(2, 40)],
      actions: [
        { action: 'promote', ...anna, time: at(5) },
        { action: 'edit', via: 'cli', by: null, time: at(30) },
        { action: 'cancel', ...anna, time: at(41) },
        { action: 'requeue', via: 'application', by: null, time: at(60) },
        { action: 'cancel', ...anna, time: at(70) },
      ],
    };
    expect(titles(job)).toEqual([
      'Created',
      'Made due now',
      'Attempt 1 failed',
      'Re-queued with another payload',
      'Attempt 2 failed',
      'Cancel requested',
      'Re-queued',
      'Cancelled',
    ]);
    expect(buildTimeline(job).map((entry) => ('action' in entry ? entry.action?.by : undefined))).toEqual([
      undefined,
      'anna',
      undefined,
      null,
      undefined,
      'anna',
      null,
      'anna',
    ]);
  });

  it('shows the failures before a requeue', () => {
    const requeued = 'Re-queued with all retries';
    const errors = [failure(1, 5), failure(2, 10)];
    const job: Job = { ...JOB, attempt: 2, errors };
    expect(titles({ ...job, run_at: at(60) })).toEqual([
      'Created',
      'Attempt 1 failed',
      'Attempt 2 failed',
      requeued,
      'Next attempt due',
    ]);
    expect(titles({ ...job, status: 'processing', attempt: 3, started: at(61) }).slice(3)).toEqual([
      requeued,
      'Attempt 3 is running',
    ]);
    expect(titles({ ...job, status: 'failed', finished: at(12) })).toEqual([
      'Created',
      'Attempt 1 failed',
      requeued,
      'Attempt 2 failed',
      'Failed: no retries left',
    ]);
    expect(titles({ ...job, attempt: 4, status: 'pending', run_at: at(60) }).slice(3)).toEqual([
      requeued,
      'Attempts 3–4 ended without an error: released, snoozed or cancelled',
      'Next attempt due',
    ]);
    expect(titles({ ...job, status: 'cancelled', finished: at(60) }).slice(3)).toEqual([requeued, 'Cancelled']);
    expect(titles({ ...job, retries: 1, status: 'failed', finished: at(12) })).not.toContain(requeued);
    expect(titles({ ...job, retries: 2, run_at: at(60) })).not.toContain(requeued);
    expect(titles({ ...job, retries: 1, status: 'cancelled', finished: at(12) })).not.toContain(requeued);
  });

  it('offers the actions that its status allows', () => {
    const listAllowed = (status: Job['status']): (string | null)[] =>
      (['requeue', 'promote', 'cancel', 'delete'] as const).map((action) =>
        findRefusal(action, { ...JOB, status }, Date.parse(at(-1))) === null ? action : null,
      );
    expect(listAllowed('pending')).toEqual([null, 'promote', 'cancel', 'delete']);
    expect(listAllowed('processing')).toEqual([null, null, 'cancel', null]);
    expect(listAllowed('failed')).toEqual(['requeue', null, null, 'delete']);
    expect(listAllowed('cancelled')).toEqual(['requeue', null, null, 'delete']);
    expect(listAllowed('completed')).toEqual([null, null, null, 'delete']);
  });

  it('disables a second cancel, and "run now" for a due job', () => {
    const ending: Job = { ...JOB, status: 'processing', cancel_requested: true };
    expect(findRefusal('cancel', ending, 0)).toBe('the job has been asked to stop already');
    expect(findRefusal('promote', JOB, Date.parse(at(0)))).toBe('the job is due already');
  });

  it('shows one button to run the job', () => {
    expect(actionsFor({ status: 'pending' })).toEqual(['promote', 'cancel', 'delete']);
    expect(actionsFor({ status: 'failed' })).toEqual(['requeue', 'cancel', 'delete']);
  });

  it('is copied as equivalent curl command and client call without the token', () => {
    const job = { ...JOB, max_retries: 0, priority: -10, unique_key: "o'7" };
    expect(toCurl(job, 'https://shop.example/api/jobs', true)).toBe(
      [
        `curl -X POST 'https://shop.example/api/jobs/enqueue'`,
        `-H "Authorization: Bearer $JOBS_ADMIN_TOKEN"`,
        `-H 'Content-Type: application/json'`,
        `-d '${JSON.stringify({ topic: "it's", payload: { orderId: 7 }, max_retries: 0, priority: -10, unique_key: "o'7" }, null, 2).replaceAll("'", `'\\''`)}'`,
      ].join(' \\\n  '),
    );
    expect(toClientCall({ ...JOB, max_retries: 0 })).toBe(
      `await jobs.enqueue("it's", {\n  "orderId": 7\n}, {\n  "max_retries": 0\n});`,
    );
  });
});

describe('chart buckets', () => {
  const point = (minute: number, completed: number): TimeseriesPoint => ({
    minute: at(minute * 60),
    completed,
    failed: 1,
    attempts_failed: 2,
    avg_execution_time: completed * 10,
    p95: completed,
    avg_wait_time: 4,
  });

  it('are limited in number', () => {
    expect([60, 180, 360, 1440].map(bucketMinutes)).toEqual([1, 2, 3, 10]);
  });

  it('sum counts, weight averages and keep the highest p95; the newest bucket is complete', () => {
    expect(toBuckets([point(0, 9), point(1, 1), point(2, 3)], 2)).toEqual([
      { ...point(0, 9) },
      { minute: at(60), completed: 4, failed: 2, attempts_failed: 4, avg_execution_time: 25, p95: 3, avg_wait_time: 4 },
    ]);
    expect(toBuckets([point(0, 0)], 1)[0]).toMatchObject({ avg_execution_time: 0 });
  });

  it('have no time without jobs', () => {
    const buckets = toBuckets([{ ...point(0, 0), avg_wait_time: 0 }, point(1, 0), point(2, 3)], 1);
    expect(toTimes(buckets, (bucket) => bucket.avg_execution_time)).toEqual([null, null, 30]);
    expect(toTimes(buckets, (bucket) => bucket.avg_wait_time)).toEqual([null, 4, 4]);
  });
});
