import type { EntityManager } from 'typeorm';
import { EntitySchema } from 'typeorm';

/** One row for each run of a handler, in a table of the application: a job that ran twice has two. */
export interface Effect {
  id: number;
  jobId: string;
  attempt: number;
  /** The process, or the engine in it. */
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

/** Does the work of a job: inserts one row. */
export async function recordEffect(manager: EntityManager, effect: Omit<Effect, 'id'>): Promise<void> {
  await manager.insert(EffectSchema, effect);
}
