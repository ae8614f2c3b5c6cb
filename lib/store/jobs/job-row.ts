/* SQL that both databases share; `j` is the row. */

/** The error that the rescue records for an attempt that had started. */
export const LEASE_LOST =
  "'lease of attempt ' || j.attempt || ' lost: worker ' || coalesce(j.locked_by, '?') || ' stopped renewing it; its handler may have run'";

/** The error of a job that had not started by its expiry. */
export const EXPIRED = 'expired';

/** Whether a rescue, and not the attempt itself, has ended the last attempt. */
export const WAS_RESCUED = 'coalesce(j.rescued_attempt = j.attempt, false)';

/**
 * The values of the column `watched`: whether the end of a job owes a follow-up (see links/follow-up-script.ts). NULL: nothing hangs on
 * the job, and its end owes nothing.
 */
export const WATCHED = {
  /**
   * A completion concerns no other job, and owes nothing. Any other end owes a follow-up. Set by the insert for a job with children that
   * holds none of their tokens, and by the statement that records a failure for a job without children whose topic has dead letters.
   */
  unlessCompleted: 0,
  /**
   * The job may hold the token of a child or of a group: each end owes a follow-up. Set by the insert, by the insert of a further child,
   * by a follow-up that moves a token to the job, and by a re-queue.
   */
  always: 1,
  /** The end was followed up, and nothing is owed. Set by the follow-up, and by the insert of a child whose parent has ended already. */
  done: 2,
  /** The job was deleted: its follow-up deletes the row. Set by the deletion of a job that others depend on. */
  deleted: 3,
  /**
   * The end was followed up, and owes a follow-up once more, because of its children alone: its dead letters are stored. Set when the
   * database has refused to delete a child, which the follow-up had passed over.
   */
  again: 4,
} as const;

/** Comes before all ids, and after them. */
export const FIRST_ID = '00000000-0000-0000-0000-000000000000';
export const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** `ended_by` of a pending job whose deletion was requested, until its follow-up deletes the row. */
export const DELETED = 'delete';

/** Whether the job has ended and owes a follow-up: the condition of the index `_jobs_owed`. @param row a prefix such as `j.`. */
export const isOwed = (row = ''): string =>
  `${row}watched IS NOT NULL AND ${row}finished IS NOT NULL AND (${row}watched = ${WATCHED.always} OR ${row}watched = ${WATCHED.deleted} OR ${row}watched = ${WATCHED.again} OR (${row}watched = ${WATCHED.unlessCompleted} AND ${row}status <> 'completed'))`;
