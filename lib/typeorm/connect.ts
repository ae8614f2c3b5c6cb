import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import { DatabaseInspector } from '../store/reports/inspection.js';
import { detectDatabaseKind } from './data-source-settings.js';
import { toSqlRunner } from './query-runner.js';

export type { DataSource, DataSourceOptions, EntityManager } from 'typeorm';

/** Opens a DataSource where the application has none: for commands, and for tests. */
export function connect(options: DataSourceOptions): Promise<DataSource> {
  return new DataSource(options).initialize();
}

/** Opens a file with the driver `sqlite3`, which TypeORM 0.3 knows and 1.x does not. */
export function connectSqlite3(file: string): Promise<DataSource> {
  return connect({ type: 'sqlite' as 'better-sqlite3', database: file });
}

/** Answers questions of operators on the application's connection. */
export function createInspector(app: DataSource): DatabaseInspector {
  return new DatabaseInspector(detectDatabaseKind(app), async (sql, params) => {
    const queryRunner = app.createQueryRunner();
    try {
      return await toSqlRunner(queryRunner).query(sql, params);
    } finally {
      await queryRunner.release();
    }
  });
}
