import { ms, now } from './statement-parts.js';

/** Pauses the topics of the JSON array ?1. A topic that is paused already keeps its time. `WHERE true` ends the SELECT. */
export const PAUSE = `
INSERT INTO _jobs_topics AS t (topic, paused_since) SELECT value, ${now} FROM json_each(?1) WHERE true
ON CONFLICT (topic) DO UPDATE SET paused_since = excluded.paused_since WHERE t.paused_since IS NULL`;

/** Resumes the topics of the JSON array ?1. Their rows stay: they hold more than the pause. */
export const RESUME = `
UPDATE _jobs_topics SET paused_since = NULL WHERE topic IN (SELECT value FROM json_each(?1)) AND paused_since IS NOT NULL`;

export const PAUSED_TOPICS = `
SELECT topic, ${ms('paused_since')} AS since FROM _jobs_topics WHERE paused_since IS NOT NULL ORDER BY topic`;

/** Whether a topic is paused. */
export const isPaused = (topic: string): string =>
  `((SELECT p.paused_since FROM _jobs_topics AS p WHERE p.topic = ${topic}) IS NOT NULL)`;
