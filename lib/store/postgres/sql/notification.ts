/* What LISTEN and NOTIFY carry: hints, of which none is needed for a job to run. */

/** Where jobs are announced, with topics or nothing, and where cancel requests are. */
export const JOBS_CHANNEL = 'nestjs_jobs';
export const CANCEL_CHANNEL = 'nestjs_jobs_cancel';

/** Where each new listening connection is told something, to see whether it hears. */
export const ECHO_CHANNEL = 'nestjs_jobs_echo';

/** One hint. */
export const NOTIFY = 'SELECT pg_notify($1, $2)';

/** What the listening connection says first. */
export const LISTEN = `LISTEN ${JOBS_CHANNEL}; LISTEN ${CANCEL_CHANNEL}; LISTEN ${ECHO_CHANNEL}`;

/** Shows that a connection is alive: the one that listens, and any other that was idle for long. */
export const PING = 'SELECT 1';
