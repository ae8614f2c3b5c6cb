/** The package that is `typeorm` to these tests and to the programs they start: 1.x, or 0.3 by the name of its alias. */
export const TYPEORM = process.env.JOBS_TEST_TYPEORM ?? 'typeorm';

/** Whether it knows the driver `sqlite3`, which 1.x has given up. */
export const hasSqlite3 = TYPEORM !== 'typeorm';

/** The type of a DataSource with that driver; TypeORM 1.x, whose types are used here, does not know it. */
export const SQLITE3 = 'sqlite' as 'better-sqlite3';
