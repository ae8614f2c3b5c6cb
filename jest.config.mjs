import tiersModule from './test/support/tiers.cjs';

const { tiers } = tiersModule;

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
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/dist-sample/', '<rootDir>/.site/'],
};

const moduleNameMapper = {
  // Applications and the queue open SQLite files with `node:sqlite`: test/compat/node-sqlite.test.ts.
  ...(process.env.JOBS_TEST_NODE_SQLITE && { '^better-sqlite3$': '<rootDir>/test/support/node-sqlite-driver.ts' }),
  '^nestjs-jobs$': '<rootDir>/lib/index.ts',
  '^nestjs-jobs/client$': '<rootDir>/client/index.ts',
  '^nestjs-jobs/testing$': '<rootDir>/lib/testing/index.ts',
  '^nestjs-jobs/telemetry$': '<rootDir>/lib/telemetry/index.ts',
  '^nestjs-jobs/orm$': '<rootDir>/lib/orm/index.ts',
  '^(\\.{1,2}/.*)\\.js$': '$1',
};

/** Settings of the tests that run with this TypeORM. */
const settingsOf = {
  typeorm: { moduleNameMapper },
  'typeorm-0.3': {
    setupFiles: ['<rootDir>/test/support/typeorm-0.3.ts'],
    // @nestjs/typeorm imports this TypeORM too.
    moduleNameMapper: { ...moduleNameMapper, '^typeorm$': 'typeorm-0.3' },
  },
};

/** Settings of the tests that run on Nest 11. All other packages that need Nest get it too. */
const onNest11 = {
  // Nest 11 is CommonJS already.
  transformIgnorePatterns: ['/node_modules/(?!@seriousme/)'],
  moduleNameMapper: {
    ...moduleNameMapper,
    '^@nestjs/(.*)$': '<rootDir>/node_modules/.cache/nest-11/node_modules/@nestjs/$1',
  },
};

const tier = process.env.JOBS_TEST_TIER === 'matrix' ? tiers.matrix : tiers.test;

/** @type {import('jest').Config} */
export default {
  // On a machine that is busy with other work.
  testTimeout: 60_000,
  // Most tests wait: four workers keep two cores busy.
  maxWorkers: 4,
  testSequencer: './test/support/longest-first.cjs',
  globalSetup: './test/support/global-setup.ts',
  globalTeardown: './test/support/global-teardown.ts',

  projects: tier.map((part) => ({
    ...shared,
    ...settingsOf[part.typeorm],
    ...(part.isOnNest11 ? onNest11 : {}),
    displayName: part.name,
    testMatch: part.files.map((file) => `<rootDir>/${file}`),
    testEnvironment: './test/support/tier-environment.cjs',
    testEnvironmentOptions: part,
  })),

  collectCoverageFrom: ['lib/**/*.ts', 'migrations/**/*.ts', 'client/**/*.ts'],
  coverageReporters: ['text', 'lcov'],
  coverageThreshold: { global: { lines: 90 } },
};
