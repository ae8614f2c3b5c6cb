import { ms } from './statement-parts.js';

/** Pauses the topics of the JSON array $1. A topic that is paused already keeps its time. */
export const PAUSE = `
INSERT INTO _jobs_topics AS t (topic, paused_since)
SELECT a.topic, statement_timestamp() FROM jsonb_array_elements_text($1::jsonb) AS a(topic) ORDER BY a.topic
ON CONFLICT (topic) DO UPDATE SET paused_since = excluded.paused_since WHERE t.paused_since IS NULL`;

/** Resumes the topics of the JSON array $1. Their rows stay: they hold more than the pause. */
export const RESUME = `
UPDATE _jobs_topics SET paused_since = NULL
WHERE topic = ANY (ARRAY(SELECT jsonb_array_elements_text($1::jsonb))) AND paused_since IS NOT NULL`;

export const PAUSED_TOPICS = `
SELECT topic, ${ms('paused_since')} AS since FROM _jobs_topics WHERE paused_since IS NOT NULL ORDER BY topic`;

/** Whether a topic is paused. A claim evaluates it once for each lane. With EXISTS the planner might read all rows first. */
export const isPaused = (topic: string): string =>
  `((SELECT p.paused_since FROM _jobs_topics p WHERE p.topic = ${topic}) IS NOT NULL)`;
