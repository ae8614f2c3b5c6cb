import type { JobStatus } from './wire.js';

export type JobLogLevel = 'debug' | 'info' | 'warn' | 'error';

/** A line that the handler wrote with `job.log`. */
export interface JobLogLine {
  /** Attempt and number of the line, such as `2.17`. Pass it as `after` to get the lines that follow. */
  id: string;
  attempt: number;
  level: JobLogLevel;
  message: string;
  /** `null` if there is none. */
  data: unknown;
  time: string;
}

/** Response of `GET /:id/logs`: the lines, oldest first. */
export interface JobLog {
  items: JobLogLine[];
}

/** Data of the event `job` of `GET /stream?job=`: the job, its progress or its log has changed. Fetch what you show. */
export interface StreamJob {
  id: string;
  status: JobStatus | 'deleted';
  /** `null` if the job is deleted. */
  updated: string | null;
  /** `id` of the newest log line; `null` if there is none. */
  last_line: string | null;
}
