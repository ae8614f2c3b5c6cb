import { isOwed } from '../jobs/job-row.js';
import { fromNow, isAged, isKeptUnique, keptSince, ms, now, ownAges } from '../jobs/job-row.sqlite.js';

/* What the doctor and the dry run of a prune read. */

/** Reads the time, and how many pages of the file are used and free. */
export const DATABASE_STATE = `
SELECT ${ms(now)} AS now, (SELECT page_count FROM pragma_page_count) AS pages,
  (SELECT freelist_count FROM pragma_freelist_count) AS wasted`;

/** Lists up to ?2 jobs that have owed a follow-up for ?1 milliseconds, the oldest first. */
export const LONG_OWED = `
SELECT id, topic, ${ms(now)} - ${ms('finished')} AS owed_ms FROM _jobs INDEXED BY _jobs_owed
WHERE ${isOwed()} AND finished < ${fromNow('-?1')} ORDER BY finished, id LIMIT ?2`;

/** Copies pages from the -wal file to the database, as far as no reader needs the old ones. Returns both numbers of pages. */
export const CHECKPOINT = 'PRAGMA wal_checkpoint(PASSIVE)';

/** Counts the jobs that a prune would delete, by status: ?1 ages by status. Reads the whole table. */
export const COUNT_PRUNABLE = `
SELECT j.status, count(*) AS jobs
FROM _jobs AS j LEFT JOIN ${ownAges} AS o ON o.topic = j.topic AND o.status = j.status
LEFT JOIN json_each(?1) AS a ON a.value ->> 'status' = j.status
WHERE ${isAged('j.finished')} AND (j.idempotency_key IS NULL OR j.created <= ${keptSince}) AND NOT ${isKeptUnique}
GROUP BY j.status`;
