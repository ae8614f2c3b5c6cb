/** Tells the tests, and through them the programs they start, which TypeORM they are run with. */
process.env.JOBS_TEST_TYPEORM = 'typeorm-0.3';
