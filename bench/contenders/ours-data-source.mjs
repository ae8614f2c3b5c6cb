import { createRequire } from 'node:module';

/**
 * An application's DataSource: PostgreSQL by its URL, SQLite by its path.
 *
 * @param {string} address
 * @param {string} [driver] 'sqlite3': with TypeORM 0.3, which has it
 */
export async function openDataSource(address, driver) {
  if (driver === 'sqlite3') {
    const { DataSource } = createRequire(new URL('../typeorm-0.3/package.json', import.meta.url))('typeorm');
    return new DataSource({ type: 'sqlite', database: address }).initialize();
  }
  const { DataSource } = await import('typeorm');
  return new DataSource(optionsFor(address)).initialize();
}

/** @param {string} address @returns {import('typeorm').DataSourceOptions} */
export function optionsFor(address) {
  return address.startsWith('postgres:')
    ? { type: 'postgres', url: address, poolSize: 2 }
    : { type: 'better-sqlite3', database: address };
}
