import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { DATA_FOLDER, settings } from './settings.js';

/** The app's own database. The queue finds it by itself, and keeps its jobs in it. */
export function database(): TypeOrmModuleOptions {
  return {
    ...address(settings.databaseUrl),
    autoLoadEntities: true,
    // Makes the table of orders, for a sample. It leaves the queue's own tables alone.
    synchronize: true,
    retryAttempts: 3,
  };
}

function address(url = `${DATA_FOLDER}/shop.sqlite`): TypeOrmModuleOptions {
  const [, driver, path] = /^(?:([\w-]{2,}):)?(.*)$/s.exec(url)!;
  switch (driver) {
    case 'postgres':
    case 'postgresql':
      return { type: 'postgres', url };
    case 'sqlite3':
      // TypeORM 0.3 has this type, 1.x has given it up.
      return { type: 'sqlite' as 'better-sqlite3', database: path! };
    default:
      return { type: 'better-sqlite3', database: path! };
  }
}
