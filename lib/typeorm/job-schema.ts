import type { EntitySchemaColumnOptions } from 'typeorm';
import { EntitySchema } from 'typeorm';
import { Job } from '../core/job.js';
import type { DatabaseKind } from './data-source-settings.js';

/**
 * Returns the entity schema of `_jobs` for a kind of database: only PostgreSQL has `timestamptz` and `jsonb`. It serves
 * `@InjectRepository(Job)`; the engine writes its own SQL. Table and column names are explicit, so that no naming strategy or
 * prefix of the application changes them.
 */
export function createJobSchema(kind: DatabaseKind): EntitySchema<Job> {
  const types = columnTypes[kind];
  const text = (name: string): EntitySchemaColumnOptions => ({ name, type: 'text' });
  const integer = (name: string): EntitySchemaColumnOptions => ({ name, type: 'integer', default: 0 });
  const time = (name: string): EntitySchemaColumnOptions => ({ name, type: types.time });
  const json = (name: string): EntitySchemaColumnOptions => ({ name, type: types.json, nullable: true });

  return new EntitySchema<Job>({
    name: 'Job',
    target: Job,
    tableName: '_jobs',
    columns: {
      id: { name: 'id', type: types.id, primary: true },
      topic: text('topic'),
      payload: { name: 'payload', type: types.json },
      status: { ...text('status'), default: 'pending' },
      runAt: time('run_at'),
      lockedUntil: { ...time('locked_until'), nullable: true },
      lockedBy: { ...text('locked_by'), nullable: true },
      attempt: integer('attempt'),
      retries: integer('retries'),
      maxRetries: { ...integer('max_retries'), default: 3 },
      priority: integer('priority'),
      timeoutMs: { name: 'timeout_ms', type: types.bigint, nullable: true, transformer: numberFromBigint },
      lastError: { ...text('last_error'), nullable: true },
      errors: { ...json('errors'), transformer: emptyListFromNull },
      result: json('result'),
      progress: json('progress'),
      steps: { ...json('steps'), transformer: emptyListFromNull },
      actions: { ...json('actions'), transformer: emptyListFromNull },
      uniqueKey: { ...text('unique_key'), nullable: true },
      concurrencyKey: { ...text('concurrency_key'), nullable: true },
      metadata: json('metadata'),
      expiresAt: { ...time('expires_at'), nullable: true },
      cancelRequested: { name: 'cancel_requested', type: 'boolean', default: false },
      started: { ...time('started'), nullable: true },
      finished: { ...time('finished'), nullable: true },
      created: time('created'),
      updated: time('updated'),
    },
  });
}

const columnTypes = {
  postgres: { id: 'uuid', time: 'timestamptz', json: 'jsonb', bigint: 'bigint' },
  sqlite: { id: 'text', time: 'datetime', json: 'simple-json', bigint: 'integer' },
} as const;

const numberFromBigint = {
  to: (value: number | null): number | null => value,
  from: (value: string | number | null): number | null => (value === null ? null : Number(value)),
};

const emptyListFromNull = {
  to: (value: unknown): unknown => value,
  from: (value: unknown): unknown => value ?? [],
};
