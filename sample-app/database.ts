import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { DATA_FOLDER, settings } from './settings.js';

/** The app's own database. The queue finds it by itself, and keeps its jobs in it. */
export function database(): TypeOrmModuleOptions {
  const { databaseUrl } = settings;
  return {
    ...(databaseUrl
      ? { type: 'postgres', url: databaseUrl }
      : { type: 'better-sqlite3', database: `${DATA_FOLDER}/shop.sqlite` }),
    autoLoadEntities: true,
    // Makes the table of orders, for a sample. It leaves the queue's own tables alone.
    synchronize: true,
    retryAttempts: 3,
  };
}
