import type { EntityManager } from 'typeorm';
import { EntitySchema } from 'typeorm';

/** One line for each time a handler did its work, in a table of the application: a job that ran twice shows twice. */
export interface Effect {
  id: number;
  jobId: string;
  attempt: number;
  /** Which process, or which engine of it, did it. */
  worker: string;
}

export const EffectSchema = new EntitySchema<Effect>({
  name: 'Effect',
  tableName: 'effects',
  columns: {
    id: { type: 'integer', primary: true, generated: 'increment' },
    jobId: { name: 'job_id', type: 'text' },
    attempt: { type: 'integer' },
    worker: { type: 'text' },
  },
});

/** Does a job's work: one more line. */
export async function recordEffect(manager: EntityManager, effect: Omit<Effect, 'id'>): Promise<void> {
  await manager.insert(EffectSchema, effect);
}
