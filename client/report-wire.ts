/** Jobs that finished within one minute. Times in ms. */
export interface TimeseriesPoint {
  /** Start of the minute. */
  minute: string;
  completed: number;
  failed: number;
  /** Failed attempts, whether or not the job runs again. */
  attempts_failed: number;
  /** Mean execution time. */
  avg_execution_time: number;
  /** 95th percentile of the execution time. */
  p95: number;
  /** Mean time that jobs were due before they ran. */
  avg_wait_time: number;
}

/** Response of `GET /timeseries`: every minute of the window, oldest first, the current one last. */
export interface Timeseries {
  /** Length of the window. */
  minutes: number;
  items: TimeseriesPoint[];
  /** The whole window as one. */
  window: Omit<TimeseriesPoint, 'minute'> & { p50: number; p99: number };
}

/** The failed and retrying jobs of one topic whose errors differ only in numbers and ids. */
export interface ErrorGroup {
  topic: string;
  /** The error of the job `sample_id`. */
  message: string;
  /** The message of all jobs of the group: `#` stands for numbers, ids, email addresses, dates and IP addresses. */
  pattern: string;
  /** Class of the error of the job `sample_id`, from its stack; `null`: not known. */
  name: string | null;
  /** Identifies the group: pass it as `error_key` to a filter. */
  key: string;
  /** Jobs that failed for good. */
  count: number;
  /** Pending jobs whose last error this is. */
  retrying: number;
  /** When the latest attempts of these jobs failed: the first, and the last. */
  first_seen: string;
  last_seen: string;
  /** The same times in the last hour: jobs in each five minutes, oldest first. 12 numbers. */
  last_hour: number[];
  /** Id of the newest of these jobs. */
  sample_id: string;
}

/** Response of `GET /errors`: a page of at most 100 groups. */
export interface ErrorGroups {
  items: ErrorGroup[];
  /** Number of all groups, not only of this page. */
  groups_total: number;
  /** How many of the newest failed jobs (`jobs`) and retrying jobs (`retrying`) were read; `jobs_max`: the upper bound of each. */
  window: { jobs: number; retrying: number; jobs_max: number };
}
