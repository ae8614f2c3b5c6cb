/** For tests: import this file first, and the app has a database in memory. */
process.env.DATABASE_URL = ':memory:';
