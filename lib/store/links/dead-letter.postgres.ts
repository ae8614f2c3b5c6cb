import { DEAD_LETTERS_METADATA, FAILED_JOB_METADATA } from '../../core/dead-letter.js';
import { GROUP_METADATA } from '../../core/job-group.js';
import { SCHEDULE_METADATA } from '../../core/schedule.js';
import { WATCHED } from '../jobs/job-row.js';
import { iso, matchesId, ms } from '../jobs/job-row.postgres.js';

/* Jobs that are inserted when another one has failed for good: see dead-letter-script.ts. */

/** `watched` of a job without children that fails for good: NULL if its topic declares no dead letters. A scalar query: PostgreSQL never reads the table for all rows at once. */
export const watchedAtFailure = (row: string): string =>
  `(SELECT ${WATCHED.unlessCompleted}::smallint FROM _jobs_topics d WHERE d.topic = ${row}.topic AND d.dead_letters IS NOT NULL)`;

/** A random UUID v7 of the statement's time. */
const newId = `overlay(overlay(gen_random_uuid()::text
  placing overlay(lpad(to_hex((extract(epoch FROM statement_timestamp()) * 1000)::bigint), 12, '0') placing '-' from 9 for 0) from 1 for 13)
  placing '7' from 15 for 1)::uuid`;

/** The metadata of the failed job without what belongs to that job alone. */
const inherited = `(coalesce(j.metadata, '{}') - ARRAY['${SCHEDULE_METADATA}', '${GROUP_METADATA}', '${DEAD_LETTERS_METADATA}'])`;

/** The members that the application has given. */
const given = `(SELECT jsonb_object_agg(m.key, m.value) FROM jsonb_each(j.metadata) m WHERE m.key NOT LIKE '$%')`;

/** The topics of the chain of failures that ends with `j`. */
const passed = `(coalesce(j.metadata #> '{${FAILED_JOB_METADATA},topics}', '[]') || to_jsonb(j.topic))`;

/**
 * Inserts the dead letters of the failed jobs in $1, and returns them. A chain of failures does not come back to a topic: two processes
 * may declare a cycle together.
 */
export const INSERT_DEAD_LETTERS = `
INSERT INTO _jobs (id, topic, payload, max_retries, priority, metadata, run_at, created, updated)
SELECT ${newId}, d.topic,
  jsonb_build_object('id', j.id, 'topic', j.topic, 'payload', j.payload, 'metadata', ${given}, 'lastError', j.last_error,
    'attempt', j.attempt, 'created', ${iso('j.created')}, 'failed', ${iso('j.finished')}),
  d."maxRetries", d.priority,
  ${inherited} || jsonb_build_object('${FAILED_JOB_METADATA}', jsonb_build_object('id', j.id, 'topics', ${passed})),
  statement_timestamp(), statement_timestamp(), statement_timestamp()
FROM _jobs j JOIN _jobs_topics t ON t.topic = j.topic AND t.dead_letters IS NOT NULL
CROSS JOIN LATERAL jsonb_to_recordset(t.dead_letters) AS d(topic text, "maxRetries" int, priority int)
WHERE j.id = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::uuid)) AND NOT jsonb_exists(${passed}, d.topic)
RETURNING id, topic, ${ms('run_at')} AS run_at, payload ->> 'id' AS failed_id`;

/** Writes the dead letters in $1 into the metadata of their failed jobs. */
export const LINK_DEAD_LETTERS = `
UPDATE _jobs j SET metadata = coalesce(j.metadata, '{}') || jsonb_build_object('${DEAD_LETTERS_METADATA}', l.letters)
FROM jsonb_to_recordset($1::jsonb) AS l(id uuid, letters jsonb) WHERE ${matchesId('l')}`;
