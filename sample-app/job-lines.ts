import { Injectable } from '@nestjs/common';
import type { OnModuleDestroy } from '@nestjs/common';
import type { JobEvent } from 'nestjs-jobs';
import { JobsService } from 'nestjs-jobs';

/** A job that waits for others is due in this year. */
const BLOCKED_YEAR = 9999;

/** Prints one line for each event of a job. */
@Injectable()
export class JobLines implements OnModuleDestroy {
  constructor(jobs: JobsService) {
    jobs.events.subscribe((event) => console.log(toLine(event)));
  }

  onModuleDestroy(): void {
    console.log('Stopping: no more jobs are taken, running ones may finish.');
  }
}

function toLine(event: JobEvent): string {
  const columns = [formatTime(new Date()), event.type.padEnd(10), event.topic.padEnd(14), event.id.slice(-6)];
  return [...columns, toDetail(event)].join('  ').trimEnd();
}

function toDetail(event: JobEvent): string {
  switch (event.type) {
    case 'enqueued':
      return toStart(event.runAt);
    case 'replaced':
      return `new payload, not before ${formatTime(event.runAt)}`;
    case 'retrying':
      return `attempt ${event.attempt}: ${event.error.message}; again at ${formatTime(event.runAt)}`;
    case 'failed':
      return `attempt ${event.attempt}: ${event.error.message}; not tried again`;
    case 'completed':
      return `attempt ${event.attempt}, ${Math.round(event.durationMs ?? 0)} ms`;
    case 'cancelled':
      return event.attempt === 0 ? 'before it started' : `attempt ${event.attempt}`;
    default:
      return `attempt ${event.attempt}`;
  }
}

function toStart(runAt: Date): string {
  if (runAt.getUTCFullYear() === BLOCKED_YEAR) {
    return 'after other jobs';
  }
  return runAt.getTime() - Date.now() > 1_000 ? `not before ${formatTime(runAt)}` : '';
}

function formatTime(moment: Date): string {
  return moment.toTimeString().slice(0, 8);
}
