import { DEAD_LETTERS_METADATA, FAILED_JOB_METADATA } from '../../core/dead-letter.js';
import { GROUP_METADATA } from '../../core/job-group.js';
import { SCHEDULE_METADATA } from '../../core/schedule.js';
import { WATCHED } from '../jobs/job-row.js';
import { byId, iso, ms, now } from '../jobs/job-row.sqlite.js';

/* Jobs that are inserted when another one has failed for good: see dead-letter-script.ts. */

/** `watched` of a job without children that fails for good: NULL if its topic declares no dead letters. */
export const watchedAtFailure = (row: string): string =>
  `(SELECT ${WATCHED.unlessCompleted} FROM _jobs_topics AS d WHERE d.topic = ${row}.topic AND d.dead_letters IS NOT NULL)`;

const timeHex = `printf('%012x', ${ms(now)})`;
const random = (digits: number): string => `lower(substr(hex(randomblob(6)), 1, ${digits}))`;

/** A random UUID v7 of the statement's time. */
const newId = `printf('%s-%s-7%s-8%s-%s', substr(${timeHex}, 1, 8), substr(${timeHex}, 9), ${random(3)}, ${random(3)}, ${random(12)})`;

const path = (member: string): string => `'$."${member}"'`;

/** The metadata of the failed job without what belongs to that job alone. */
const inherited = `json_remove(coalesce(j.metadata, '{}'),
  ${[SCHEDULE_METADATA, GROUP_METADATA, DEAD_LETTERS_METADATA].map(path).join(', ')})`;

/** The members that the application has given. */
const given = `(SELECT nullif(json_group_object(m.key, json(j.metadata -> m.fullkey)), '{}') FROM json_each(j.metadata) AS m WHERE m.key NOT LIKE '$%')`;

/** The topics of the chain of failures that ends with `j`. */
const passed = `json_insert(coalesce(j.metadata -> '$."${FAILED_JOB_METADATA}".topics', '[]'), '$[#]', j.topic)`;

/**
 * Inserts the dead letters of the failed jobs in ?1, and returns them. A chain of failures does not come back to a topic: two processes
 * may declare a cycle together.
 */
export const INSERT_DEAD_LETTERS = `
INSERT INTO _jobs (id, topic, payload, max_retries, priority, metadata, run_at, created, updated)
SELECT ${newId}, d.value ->> 'topic',
  json_object('id', j.id, 'topic', j.topic, 'payload', json(j.payload), 'metadata', json(${given}), 'lastError', j.last_error,
    'attempt', j.attempt, 'created', ${iso('j.created')}, 'failed', ${iso('j.finished')}),
  d.value ->> 'maxRetries', d.value ->> 'priority',
  json_set(${inherited}, ${path(FAILED_JOB_METADATA)}, json_object('id', j.id, 'topics', json(${passed}))),
  ${now}, ${now}, ${now}
FROM json_each(?1) AS g CROSS JOIN _jobs AS j ${byId} ON j.id = g.value
CROSS JOIN _jobs_topics AS t ON t.topic = j.topic AND t.dead_letters IS NOT NULL
CROSS JOIN json_each(t.dead_letters) AS d
WHERE NOT EXISTS (SELECT 1 FROM json_each(${passed}) AS p WHERE p.value = d.value ->> 'topic')
RETURNING id, topic, ${ms('run_at')} AS run_at, payload ->> 'id' AS failed_id`;

/** Writes the dead letters in ?1 into the metadata of their failed jobs. */
export const LINK_DEAD_LETTERS = `
WITH l AS MATERIALIZED (SELECT value ->> 'id' AS id, value -> 'letters' AS letters FROM json_each(?1))
UPDATE _jobs AS j SET metadata = json_set(coalesce(j.metadata, '{}'), ${path(DEAD_LETTERS_METADATA)}, json(l.letters))
FROM l WHERE j.id = l.id`;
