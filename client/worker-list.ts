/** A process that runs jobs. Its values are at most 20 s old while it lives. */
export interface WorkerProcess {
  /** As in `locked_by` of its jobs. */
  worker: string;
  host: string;
  pid: number;
  /** Version of nestjs-jobs. */
  version: string;
  /** The newest migration of that version. */
  schema_version: string;
  /** The topics of its handlers. */
  topics: string[];
  /** Running jobs. */
  running: number;
  /** How many jobs it runs at a time, a batch counted as one. */
  concurrency: number;
  /** Whether it shuts down. It starts no more jobs and waits for the running ones. */
  is_draining: boolean;
  /** Whether notifications wake it; otherwise it polls. */
  is_notified: boolean;
  last_seen: string;
  /** Whether it was seen in the last minute. */
  is_alive: boolean;
  /** Its handlers, with the options that are in force. */
  handlers: WorkerHandler[];
}

/** A handler of a process. */
export interface WorkerHandler {
  topic: string;
  /** Jobs of the topic that the process runs at a time; `null`: as many as of all topics together. */
  concurrency: number | null;
  timeout_ms: number;
  max_retries: number;
  /** `null`: a function. */
  backoff: {
    type: 'fixed' | 'quadratic' | 'exponential';
    delay_ms: number;
    max_delay_ms: number;
    jitter: number;
  } | null;
  /** Jobs in one call; `null`: the handler takes one job. */
  batch_size: number | null;
  transactional: boolean;
}

/** Response of `GET /workers`: at most 1,000 processes, those that live first. */
export interface WorkerList {
  items: WorkerProcess[];
}
