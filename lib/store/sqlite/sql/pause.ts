import { ms } from './statement-parts.js';

/** Topics in the JSON array ?1 are paused from now on; those that are already keep their time. */
export const PAUSE = 'INSERT OR IGNORE INTO _jobs_paused (topic) SELECT value FROM json_each(?1)';
export const RESUME = 'DELETE FROM _jobs_paused WHERE topic IN (SELECT value FROM json_each(?1))';
export const PAUSED_TOPICS = `SELECT topic, ${ms('since')} AS since FROM _jobs_paused ORDER BY topic`;

/** Whether no job of a topic is to be claimed. */
export const isPaused = (topic: string): string => `EXISTS (SELECT 1 FROM _jobs_paused AS p WHERE p.topic = ${topic})`;
