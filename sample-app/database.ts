import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { DATA_FOLDER, settings } from './settings.js';

/** The app's own database. The queue finds it and stores its jobs there. */
export function database(): TypeOrmModuleOptions {
  return {
    ...toConnection(settings.databaseUrl),
    autoLoadEntities: true,
    // Creates the table of orders, which is fine for a sample. It never touches the queue's tables.
    synchronize: true,
    retryAttempts: 3,
  };
}

function toConnection(url = `${DATA_FOLDER}/shop.sqlite`): TypeOrmModuleOptions {
  const [, driver, path] = /^(?:([\w-]{2,}):)?(.*)$/s.exec(url)!;
  switch (driver) {
    case 'postgres':
    case 'postgresql':
      return { type: 'postgres', url };
    case 'sqlite3':
      // TypeORM 0.3 has this type, 1.x does not.
      return { type: 'sqlite' as 'better-sqlite3', database: path! };
    default:
      return { type: 'better-sqlite3', database: path! };
  }
}
