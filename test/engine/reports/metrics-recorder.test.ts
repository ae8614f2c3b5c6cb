import type { JobEvent } from '../../../lib/core/job-events.js';
import { isMetric, MetricsBuffer, recordIntervalMs } from '../../../lib/engine/reports/metrics-recorder.js';
import { ALL_TOPICS } from '../../../lib/store/reports/report-records.js';

const started = (topic: string, waitedMs: number): JobEvent => ({
  type: 'started',
  id: 'a',
  topic,
  attempt: 1,
  waitedMs,
});
const completed = (topic: string, durationMs: number | null): JobEvent => ({
  type: 'completed',
  id: 'a',
  topic,
  attempt: 1,
  durationMs,
});
const failed = (topic: string): JobEvent => ({
  type: 'failed',
  id: 'a',
  topic,
  attempt: 1,
  durationMs: 5,
  error: { message: 'x', stack: null },
});

describe('the counter buffer of the metrics recorder', () => {
  it('is empty until something is added', () => {
    const buffer = new MetricsBuffer();
    expect(buffer.isEmpty).toBe(true);
    expect(buffer.entries()).toEqual([]);
    buffer.add(failed('mail'));
    expect(buffer.isEmpty).toBe(false);
  });

  it('counts started and ended attempts of each topic and in total', () => {
    const buffer = new MetricsBuffer();
    [started('mail', 3), completed('mail', 1), started('sms', 4), failed('sms')].forEach((event) => buffer.add(event));
    const of = (topic: string): object => buffer.entries().find((entry) => entry.topic === topic)!;
    expect(buffer.entries()).toHaveLength(3);
    expect(of('mail')).toMatchObject({ completed: 1, failed: 0, started: 1, runMs: 1, waitMs: 3, histogram: { 0: 1 } });
    expect(of('sms')).toMatchObject({ completed: 0, failed: 1, started: 1, runMs: 0, waitMs: 4, histogram: {} });
    expect(of(ALL_TOPICS)).toMatchObject({
      completed: 1,
      failed: 1,
      started: 2,
      runMs: 1,
      waitMs: 7,
      histogram: { 0: 1 },
    });
  });

  it('counts each failed attempt, and only the last of a job as failed', () => {
    const buffer = new MetricsBuffer();
    const retrying: JobEvent = { ...failed('mail'), type: 'retrying', retries: 1, runAt: new Date() } as JobEvent;
    const rescued: JobEvent = { type: 'rescued', id: 'a', topic: 'mail', attempt: 2, retries: 2 };
    [retrying, rescued, failed('mail')].forEach((event) => buffer.add(event));
    expect(buffer.entries()[0]).toMatchObject({ topic: 'mail', failed: 1, attemptsFailed: 3, completed: 0 });
  });

  it('counts a run of another process with a duration of zero', () => {
    const buffer = new MetricsBuffer();
    buffer.add(completed('mail', null));
    expect(buffer.entries()[0]).toMatchObject({ completed: 1, runMs: 0, histogram: { 0: 1 } });
  });

  it('adds another buffer without changing it', () => {
    const [buffer, other] = [new MetricsBuffer(), new MetricsBuffer()];
    buffer.add(completed('mail', 1));
    other.add(completed('mail', 1));
    other.add(started('sms', 9));
    buffer.addAll(other);
    expect(buffer.entries().find(({ topic }) => topic === 'mail')).toMatchObject({ completed: 2, histogram: { 0: 2 } });
    expect(buffer.entries().find(({ topic }) => topic === 'sms')).toMatchObject({ started: 1, waitMs: 9 });
    expect(other.entries().find(({ topic }) => topic === 'mail')).toMatchObject({ completed: 1, histogram: { 0: 1 } });
  });

  it('returns entries that do not change later', () => {
    const buffer = new MetricsBuffer();
    buffer.add(completed('mail', 1));
    const entries = buffer.entries();
    buffer.add(completed('mail', 1));
    expect(entries[0]).toMatchObject({ completed: 1, histogram: { 0: 1 } });
  });

  it.each<[JobEvent['type'], boolean]>([
    ['started', true],
    ['completed', true],
    ['failed', true],
    ['enqueued', false],
    ['retrying', true],
    ['snoozed', false],
    ['released', false],
    ['cancelled', false],
    ['expired', false],
    ['rescued', true],
    ['lease_lost', false],
  ])('counts events of type %s: %s', (type, expected) => {
    expect(isMetric({ type } as JobEvent)).toBe(expected);
  });
});

describe('the time between two writes of metrics', () => {
  it('is a second for up to eight processes, and grows with more', () => {
    expect([1, 8, 16, 50, 80, 1_000].map(recordIntervalMs)).toEqual([1_000, 1_000, 2_000, 6_250, 10_000, 10_000]);
  });
});
