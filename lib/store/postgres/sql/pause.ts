import { ms } from './statement-parts.js';

/** Topics in the JSON array $1 are paused from now on; those that are already keep their time. */
export const PAUSE = `
INSERT INTO _jobs_paused (topic) SELECT t.topic FROM jsonb_array_elements_text($1::jsonb) AS t(topic) ORDER BY t.topic
ON CONFLICT DO NOTHING`;

export const RESUME = `
DELETE FROM _jobs_paused WHERE topic IN (SELECT t.topic FROM jsonb_array_elements_text($1::jsonb) AS t(topic))`;

export const PAUSED_TOPICS = `SELECT topic, ${ms('since')} AS since FROM _jobs_paused ORDER BY topic`;

/**
 * Whether no job of a topic is to be claimed; in a claim it is asked once for each lane. With EXISTS the planner might read all
 * paused topics first.
 */
export const isPaused = (topic: string): string =>
  `((SELECT p.since FROM _jobs_paused p WHERE p.topic = ${topic}) IS NOT NULL)`;
