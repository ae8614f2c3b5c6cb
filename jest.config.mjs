/** What every project has. */
const shared = {
  transform: {
    '\\.[jt]s$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: 'commonjs' },
      },
    ],
  },
  // Nest 12 and the validator of OpenAPI ship ES modules only, and Jest runs CommonJS.
  transformIgnorePatterns: ['/node_modules/(?!@nestjs/|@seriousme/)'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/dist-sample/'],
};

const moduleNameMapper = {
  '^nestjs-jobs$': '<rootDir>/lib/index.ts',
  '^nestjs-jobs/client$': '<rootDir>/client/index.ts',
  '^(\\.{1,2}/.*)\\.js$': '$1',
};

/** @type {import('jest').Config} */
export default {
  // On a machine that is busy with other work.
  testTimeout: 60_000,
  maxWorkers: 2,
  testSequencer: './test/support/longest-first.cjs',
  globalSetup: './test/support/global-setup.ts',
  globalTeardown: './test/support/global-teardown.ts',

  projects: [
    {
      ...shared,
      displayName: 'TypeORM 1.x',
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: ['<rootDir>/test/typeorm-0.3/'],
      moduleNameMapper,
    },
    {
      ...shared,
      displayName: 'TypeORM 0.3',
      // What depends on TypeORM or on a driver: how outcomes are written is among the conformance. How PostgreSQL plans and locks
      // is not, nor what processes record by the minute, nor which jobs a filter shows.
      testMatch: [
        '<rootDir>/test/conformance/**/*.test.ts',
        '<rootDir>/test/nest/{app-lifecycle,complete-tx,events-after-commit,jobs-service,list-and-stats,module-options}.test.ts',
        '<rootDir>/test/nest/{module-setup,sqlite-synchronous,transactional-handlers}.test.ts',
        '<rootDir>/test/processes/{killed-worker,shutdown,sqlite-app-transactions}.test.ts',
        '<rootDir>/test/sample-app/{sample-app,transactions}.test.ts',
        '<rootDir>/test/typeorm-0.3/**/*.test.ts',
      ],
      testPathIgnorePatterns: [
        '<rootDir>/test/conformance/.*/(claim-plans|batch-plans|prepared-statements|stale-plans|generic-plans|held-snapshot|lower-bound).test.ts',
        '<rootDir>/test/conformance/.*/(app-triggers|settle-locks|concurrent-actions|orphaned-transactions).test.ts',
        '<rootDir>/test/conformance/.*/(process-statistics|list-model).test.ts',
      ],
      setupFiles: ['<rootDir>/test/support/typeorm-0.3.ts'],
      // Whoever asks for TypeORM, @nestjs/typeorm too, is given this one.
      moduleNameMapper: { ...moduleNameMapper, '^typeorm$': 'typeorm-0.3' },
    },
  ],

  collectCoverageFrom: ['lib/**/*.ts', 'migrations/**/*.ts', 'client/**/*.ts'],
  coverageReporters: ['text', 'lcov'],
  coverageThreshold: { global: { lines: 90 } },
};
