/** The statuses of a job, in the order in which the screens show them. */
export const JOB_STATUSES = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const;

/** The statuses of a list in the order in which its jobs ended. */
export const ENDED_STATUSES = ['failed', 'cancelled'] as const;

/** What filters select by. `retrying`: pending jobs that have used a retry. */
export const FILTER_STATUSES = ['pending', 'retrying', 'processing', 'completed', 'failed', 'cancelled'] as const;
