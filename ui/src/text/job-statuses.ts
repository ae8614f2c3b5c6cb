/** The statuses of a job, in the order in which the screens show them. */
export const JOB_STATUSES = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const;
