/** Selects TypeORM 0.3 for the tests and the programs that they start. */
process.env.JOBS_TEST_TYPEORM = 'typeorm-0.3';
