import type { EntitySchema, EntitySchemaColumnOptions } from 'typeorm';
import { Job } from '../core/job.js';
import type { Column, ColumnName, ColumnType } from '../store/jobs/columns.js';
import { columnsWith, SQL_TYPES } from '../store/jobs/columns.js';
import type { DatabaseKind } from './data-source-settings.js';
import { loadTypeOrm } from './packages.cjs';

/**
 * Returns the entity schema of `_jobs` for a kind of database: only PostgreSQL has `timestamptz` and `jsonb`. It serves
 * `@InjectRepository(Job)`; the engine writes its own SQL. Table and column names are explicit, so that no naming strategy or
 * prefix of the application changes them.
 */
export function createJobSchema(kind: DatabaseKind): EntitySchema<Job> {
  const { EntitySchema: Schema } = loadTypeOrm();
  return new Schema<Job>({
    name: 'Job',
    target: Job,
    tableName: '_jobs',
    columns: Object.fromEntries(
      columnsWith('field').map(([name, column]) => [column.field, toEntityColumn(name, column, kind)]),
    ),
  });
}

function toEntityColumn(name: ColumnName, column: Column, kind: DatabaseKind): EntitySchemaColumnOptions {
  const { type, isNullable, isList, initial } = column;
  const transformer = isList ? emptyListFromNull : type === 'milliseconds' ? numberFromBigint : undefined;
  return {
    name,
    ...toEntityType(type, kind),
    primary: name === 'id',
    nullable: isNullable === true,
    ...(initial === undefined ? {} : { default: initial }),
    ...(transformer && { transformer }),
  };
}

function toEntityType(type: ColumnType, kind: DatabaseKind): Pick<EntitySchemaColumnOptions, 'type' | 'array'> {
  if (kind === 'sqlite') {
    // TypeORM converts the JSON of SQLite only in a column of this type.
    return { type: type === 'json' || type === 'texts' ? 'simple-json' : SQL_TYPES[type].sqlite };
  }
  return type === 'texts' ? { type: 'text', array: true } : { type: SQL_TYPES[type].postgres };
}

const numberFromBigint = {
  to: (value: number | null): number | null => value,
  from: (value: string | number | null): number | null => (value === null ? null : Number(value)),
};

const emptyListFromNull = {
  to: (value: unknown): unknown => value,
  from: (value: unknown): unknown => value ?? [],
};
