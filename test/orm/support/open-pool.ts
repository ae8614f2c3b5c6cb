import { Pool } from 'pg';
import { POOL_SIZE } from './orm-driver.js';

/** Opens a small pool of the application. An idle connection may be ended from outside, when the database is dropped. */
export function openPool(url: string): Pool {
  const pool = new Pool({ connectionString: url, max: POOL_SIZE });
  pool.on('error', () => undefined);
  return pool;
}
