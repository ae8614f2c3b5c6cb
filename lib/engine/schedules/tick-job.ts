import { createHash } from 'node:crypto';
import { readEnqueueOptions } from '../../core/job-options.js';
import type { ScheduleDefinition } from '../../core/schedule.js';
import { SCHEDULE_METADATA } from '../../core/schedule.js';
import type { StoredSchedule } from '../../store/schedules/schedule-records.js';
import type { NewJobRow } from '../enqueue/new-job-row.js';
import type { Enqueuer } from '../enqueue/enqueuer.js';

/** Returns the job of a tick. It is due at the tick, plus the schedule's part of its jitter. */
export function toTickJob(enqueuer: Enqueuer, schedule: StoredSchedule, tick: Date): NewJobRow {
  const runAt = new Date(tick.getTime() + jitterDelayMs(schedule.name, schedule.jitterMs));
  return { ...toScheduledJob(enqueuer, schedule.name, schedule, tick, runAt), id: toTickJobId(schedule.name, tick) };
}

/** Returns a job of a schedule, with a random id. */
export function toScheduledJob(
  enqueuer: Enqueuer,
  name: string,
  definition: ScheduleDefinition,
  tick: Date,
  runAt: Date,
): NewJobRow {
  const { topic, payload, maxRetries, priority, timeoutMs, backoff, metadata, labels } = definition;
  return enqueuer.toRowOfSettings(topic, payload, {
    ...readEnqueueOptions(),
    runAt,
    maxRetries: maxRetries ?? undefined,
    priority: priority ?? undefined,
    timeoutMs: timeoutMs ?? undefined,
    backoff: backoff ?? undefined,
    labels,
    metadata: JSON.stringify({ ...metadata, [SCHEDULE_METADATA]: { name, tick: tick.toISOString() } }),
  });
}

/**
 * Returns the id of a tick's job: a UUID v7 of the tick's milliseconds and a hash of schedule and tick. Every process computes the
 * same id, so the primary key rejects a second job for the tick, even when the cursor was set back.
 */
export function toTickJobId(schedule: string, tick: Date): string {
  const ms = tick.getTime();
  const bytes = Buffer.alloc(16);
  bytes.writeUIntBE(ms, 0, 6);
  hash(`${schedule}\n${ms}`).copy(bytes, 6, 0, 10);
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** How long after each tick the jobs of a schedule are due: a fixed part of its jitter. */
function jitterDelayMs(schedule: string, jitterMs: number): number {
  return jitterMs > 0 ? hash(schedule).readUIntBE(0, 6) % jitterMs : 0;
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
