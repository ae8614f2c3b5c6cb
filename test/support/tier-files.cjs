/*
 * The test files of each tier, by path: see tiers.cjs. An entry that ends with a slash is a folder.
 */

/** Only `npm run test:matrix` runs these files: they install packages, run for minutes, measure memory, or test other tests. */
const MATRIX_FILES = [
  'test/compat/bundled-app.test.ts',
  'test/compat/installed-package.test.ts',
  'test/conformance/claim/heap-growth.test.ts',
  'test/conformance/plans/gauge-plans.test.ts',
  'test/conformance/plans/list-times.test.ts',
  'test/simulation/mutants.test.ts',
  'test/ui/accessibility.test.ts',
];

/**
 * What `npm test` runs of slow files, by parts of the titles: a path through each screen of the admin UI, one way to start a program.
 * The matrix runs the rest of them.
 *
 * @type {Record<string, string[]>}
 */
const TITLES_FIRST = {
  'test/conformance/transactions/overlapping-transactions.test.ts': ['with concurrency 50', 'with 50 callers'],
  'test/http/bodies.test.ts': ['on Express'],
  'test/processes/guide-tests.test.ts': ['works with Vitest'],
  'test/processes/hot-reload.test.ts': ['waits for the job, restarts the app'],
  'test/sample-app/sample-app.test.ts': ['on better-sqlite3'],
  'test/ui/actions.test.ts': [
    're-queues a failed job from its row',
    'deletes a job after the time to undo it',
    'enqueues a job from a form that shows invalid input',
    're-queues selected jobs',
    're-queues one job of an error group, then the rest',
  ],
  'test/ui/addresses.test.ts': ['contain the filters and restore them on reload', 'works without the prefix'],
  'test/ui/groups.test.ts': ['lists groups, shows one with its members'],
  'test/ui/hostile-text.test.ts': ['in the list and its filters', 'on the page of the job'],
  'test/ui/keyboard.test.ts': ['move through the list, open, select, search and re-queue'],
  'test/ui/limits-dialog.test.ts': ['are set and removed by keyboard'],
  'test/ui/live-updates.test.ts': ['count new jobs without moving rows', 'show a lost connection and continue'],
  'test/ui/outage.test.ts': ['says so on the overview'],
  'test/ui/schedule-form.test.ts': ['creates a schedule by keyboard'],
  'test/ui/schedules.test.ts': ['are listed with the pattern in words', 'pause and resume by keyboard'],
  'test/ui/session.test.ts': [
    'starts with the admin token',
    'that expires continues where it was after a new sign-in',
    'of a user with read access shows jobs and no actions',
  ],
  'test/ui/theme.test.ts': ['has the theme of the system', 'has the language of the browser'],
  'test/ui/topic-pause.test.ts': ['works by keyboard'],
  'test/ui/topics.test.ts': ['is sorted by name'],
  'test/ui/which-system.test.ts': ['name the application and the environment'],
  'test/ui/workers.test.ts': ['are listed with what they do'],
};

/** `npm test` starts the processes of these files on PostgreSQL 18 only, the matrix also on SQLite and PostgreSQL 15. */
const POSTGRES_ONLY = [
  'test/processes/cancel-across-processes.test.ts',
  'test/processes/concurrent-migration.test.ts',
  'test/processes/database-restart.test.ts',
  'test/processes/killed-worker.test.ts',
  'test/processes/many-workers.test.ts',
  'test/processes/rolling-deploy.test.ts',
  'test/processes/shutdown.test.ts',
  'test/processes/suspended-worker.test.ts',
  'test/processes/transactional-completion.test.ts',
];

/** `npm test` runs these files on PostgreSQL 15 too. They test what differs between versions. */
const POSTGRES_15 = [
  'test/conformance/connections/hints.test.ts',
  'test/conformance/insert/insert-in-transaction.test.ts',
  'test/conformance/migrate/migrations.test.ts',
  'test/conformance/plans/batch-plans.test.ts',
  'test/conformance/plans/claim-plans.test.ts',
  'test/conformance/plans/generic-plans.test.ts',
  'test/conformance/plans/limited-plans.test.ts',
  'test/conformance/plans/prepared-statements.test.ts',
  'test/conformance/plans/stale-plans.test.ts',
];

/** `npm test` runs these files on a database in memory too: a single connection serves the queue and the application. */
const IN_MEMORY = [
  'test/conformance/connections/hints.test.ts',
  'test/conformance/insert/insert-in-transaction.test.ts',
  'test/conformance/migrate/migrations.test.ts',
  'test/conformance/plans/sqlite-plans.test.ts',
  ...['full-disk', 'overlapping-transactions', 'serialized-transactions', 'transaction-waits'].map(transactions),
  'test/nest/app-lifecycle.test.ts',
  'test/nest/module-setup.test.ts',
];

/** These files run on a SQLite file only. What they test is the same on every database. */
const SQLITE_ONLY = [
  'test/conformance/connections/disposed-engine.test.ts',
  'test/nest/async-local-storage.test.ts',
  'test/nest/batch-handlers.test.ts',
  'test/nest/batch-pipeline.test.ts',
  'test/nest/changed-arguments.test.ts',
  'test/nest/configured-apps.test.ts',
  'test/nest/enhancers.test.ts',
  'test/nest/enqueue-validation.test.ts',
  'test/nest/guard-and-pipe-errors.test.ts',
  'test/nest/guide-recipes.test.ts',
  'test/nest/handler-discovery.test.ts',
  'test/nest/handler-options.test.ts',
  'test/nest/handler-outcomes.test.ts',
  'test/nest/handler-parameters.test.ts',
  'test/nest/handler-timeout.test.ts',
  'test/nest/job-events.test.ts',
  'test/nest/job-log.test.ts',
  'test/nest/job-schedule.test.ts',
  'test/nest/many-priorities.test.ts',
  'test/nest/payload-schemas.test.ts',
  'test/nest/retry-backoff.test.ts',
  'test/nest/scoped-handlers.test.ts',
  'test/nest/typed-topics.test.ts',
  'test/nest/unhandled-topics.test.ts',
  'test/nest/validation-pipe.test.ts',
];

/** `npm test` runs these files on a SQLite file, the matrix on PostgreSQL 18. */
const SQLITE_FIRST = [
  'test/conformance/admin/bulk-as-of.test.ts',
  'test/conformance/admin/wait-for.test.ts',
  'test/conformance/lease/last-attempt.test.ts',
  'test/conformance/lease/latest-progress.test.ts',
  'test/conformance/schedule/schedule-faults.test.ts',
  'test/conformance/schedule/schedules.test.ts',
  'test/conformance/stats/process-statistics.test.ts',
  'test/nest/app-shutdown.test.ts',
  'test/nest/claimed-ahead.test.ts',
  'test/nest/clock-steps.test.ts',
  'test/nest/enqueue-options.test.ts',
  'test/nest/guide-schedules.test.ts',
  'test/nest/health.test.ts',
  'test/nest/jobs-service.test.ts',
  'test/nest/list-and-stats.test.ts',
  'test/nest/lost-lease.test.ts',
  'test/nest/module-options.test.ts',
  'test/nest/module-setup.test.ts',
  'test/nest/payment-recipe.test.ts',
  'test/nest/service-cancel.test.ts',
  'test/nest/service-pause.test.ts',
  'test/nest/service-promote.test.ts',
  'test/nest/when-idle.test.ts',
];

/** `npm test` runs these files of `test/http/` on both HTTP adapters. */
const EVERY_ADAPTER = [
  'test/http/access-paths.test.ts',
  'test/http/api-in-app.test.ts',
  'test/http/api-stream.test.ts',
  'test/http/app-close.test.ts',
  'test/http/export.test.ts',
  'test/http/hostile-requests.test.ts',
  'test/http/jobs-error-filter.test.ts',
  'test/http/routes.test.ts',
  'test/http/static-paths.test.ts',
];

/** What runs on Nest 11: whatever depends on Nest. The other files test the queue below Nest. */
const NEST_11 = [
  'test/nest/app-lifecycle.test.ts',
  'test/nest/app-shutdown.test.ts',
  'test/nest/async-local-storage.test.ts',
  'test/nest/attempt-pipeline.test.ts',
  'test/nest/changed-arguments.test.ts',
  'test/nest/compiler-errors.test.ts',
  'test/nest/configured-apps.test.ts',
  'test/nest/durable-providers.test.ts',
  'test/nest/enhancers.test.ts',
  'test/nest/event-bridge.test.ts',
  'test/nest/global-enhancers.test.ts',
  'test/nest/guard-and-pipe-errors.test.ts',
  'test/nest/handler-discovery.test.ts',
  'test/nest/handler-options.test.ts',
  'test/nest/handler-parameters.test.ts',
  'test/nest/handler-registration.test.ts',
  'test/nest/handler-timeout.test.ts',
  'test/nest/health.test.ts',
  'test/nest/interceptor-timeouts.test.ts',
  'test/nest/job-log.test.ts',
  'test/nest/job-schedule.test.ts',
  'test/nest/logger.test.ts',
  'test/nest/module-setup.test.ts',
  'test/nest/payload-schemas.test.ts',
  'test/nest/prerequisites.test.ts',
  'test/nest/scoped-handlers.test.ts',
  'test/nest/transactional-decorators.test.ts',
  'test/nest/transactional-handlers.test.ts',
  'test/nest/typed-topics.test.ts',
  'test/nest/validation-pipe.test.ts',
  'test/http/access.test.ts',
  'test/http/access-paths.test.ts',
  'test/http/admin-ui.test.ts',
  'test/http/api-in-app.test.ts',
  'test/http/api-stream.test.ts',
  'test/http/app-close.test.ts',
  'test/http/app-enhancers.test.ts',
  'test/http/bodies.test.ts',
  'test/http/callers.test.ts',
  'test/http/documented-access.test.ts',
  'test/http/hostile-requests.test.ts',
  'test/http/jobs-error-filter.test.ts',
  'test/http/openapi.test.ts',
  'test/http/oversized-input.test.ts',
  'test/http/redact.test.ts',
  'test/http/routes.test.ts',
  'test/http/static-paths.test.ts',
  'test/http/strict-topics.test.ts',
  'test/http/unwritable-responses.test.ts',
  ...['inline', 'run-handler', 'start-and-stop'].map((name) => `test/testing/${name}.test.ts`),
];

/** What runs with TypeORM 0.3: whatever depends on TypeORM or on a driver. */
const TYPEORM_03 = [
  'test/conformance/',
  ...['app-lifecycle', 'complete-tx', 'events-after-commit', 'jobs-service', 'list-and-stats', 'module-options'].map(
    nest,
  ),
  ...['module-setup', 'sqlite-synchronous', 'transactional-handlers'].map(nest),
  'test/processes/killed-worker.test.ts',
  'test/processes/shutdown.test.ts',
  'test/processes/sqlite-app-transactions.test.ts',
  'test/sample-app/',
  'test/testing/databases.test.ts',
  'test/typeorm-0.3/',
];

/** The plans and locks of PostgreSQL, the statistics, the list filters and the lines of `job.log` do not depend on TypeORM. */
const NOT_TYPEORM_03 = [
  'test/conformance/admin/concurrent-actions.test.ts',
  'test/conformance/claim/heap-growth.test.ts',
  'test/conformance/claim/held-snapshot.test.ts',
  'test/conformance/claim/lower-bound.test.ts',
  'test/conformance/claim/pipeline.test.ts',
  'test/conformance/complete/app-triggers.test.ts',
  'test/conformance/complete/rejecting-database.test.ts',
  'test/conformance/complete/settle-locks.test.ts',
  'test/conformance/insert/locked-unique-key.test.ts',
  'test/conformance/plans/list-times.test.ts',
  'test/conformance/list/list-model.test.ts',
  'test/conformance/log/job-log.test.ts',
  ...['batch', 'claim', 'gauge', 'generic', 'limited', 'link', 'log', 'schedule', 'stale'].map(
    (name) => `test/conformance/plans/${name}-plans.test.ts`,
  ),
  'test/conformance/plans/prepared-statements.test.ts',
  'test/conformance/schedule/database-clock.test.ts',
  'test/conformance/stats/process-statistics.test.ts',
  'test/conformance/stats/statistics-outage.test.ts',
  'test/conformance/transactions/orphaned-transactions.test.ts',
  'test/sample-app/documented-requests.test.ts',
];

/** `npm test` runs these files with TypeORM 0.3 too, on PostgreSQL and on the driver `sqlite3`. */
const TYPEORM_03_FIRST = [
  'test/conformance/complete/complete-in-transaction.test.ts',
  'test/conformance/connections/closed-engine.test.ts',
  'test/conformance/insert/insert-in-transaction.test.ts',
  'test/conformance/lease/renew.test.ts',
  ...['aborted-transactions', 'calls-at-end', 'concurrent-savepoints', 'failed-commits', 'full-disk'].map(transactions),
  ...['serialized-transactions', 'transaction-waits', 'unawaited-calls'].map(transactions),
  'test/nest/transactional-handlers.test.ts',
  'test/typeorm-0.3/',
];

/** `npm test` runs the main verbs of the store with the driver `sqlite3` too. */
const SQLITE3_FIRST = [
  'test/conformance/claim/claim.test.ts',
  'test/conformance/complete/fence.test.ts',
  'test/conformance/complete/settle.test.ts',
  'test/conformance/insert/insert.test.ts',
  'test/conformance/lease/mark-started.test.ts',
  'test/conformance/list/list.test.ts',
  'test/conformance/migrate/migrations.test.ts',
  'test/conformance/maintain/rescue.test.ts',
];

/** With TypeORM 0.3, only these files run on PostgreSQL. The others send the same statements to it as with TypeORM 1.x. */
const TYPEORM_03_POSTGRES = [
  'test/conformance/complete/complete-in-transaction.test.ts',
  'test/conformance/connections/',
  'test/conformance/insert/insert-in-transaction.test.ts',
  'test/conformance/lease/renew.test.ts',
  'test/conformance/migrate/',
  'test/conformance/transactions/',
  ...['complete-tx', 'events-after-commit', 'transactional-handlers'].map(nest),
  'test/typeorm-0.3/',
];

/** What these files test is above the store: another version of PostgreSQL and a database in memory show nothing else. */
const ABOVE_STORE = [
  ...['bulk', 'bulk-as-of', 'wait-for'].map((name) => `test/conformance/admin/${name}.test.ts`),
  'test/conformance/claim/lower-bound.test.ts',
  'test/conformance/flow/limited-engine.test.ts',
  'test/conformance/flow/limited-wakeups.test.ts',
  'test/conformance/lease/last-attempt.test.ts',
  'test/conformance/lease/latest-progress.test.ts',
  'test/conformance/schedule/schedule-faults.test.ts',
  'test/conformance/schedule/schedules.test.ts',
  'test/conformance/stats/process-statistics.test.ts',
  'test/http/',
  'test/nest/',
  'test/testing/',
];

/** @param {string} name */
function nest(name) {
  return `test/nest/${name}.test.ts`;
}

/** @param {string} name */
function transactions(name) {
  return `test/conformance/transactions/${name}.test.ts`;
}

module.exports = {
  MATRIX_FILES,
  TITLES_FIRST,
  POSTGRES_ONLY,
  POSTGRES_15,
  IN_MEMORY,
  SQLITE_ONLY,
  SQLITE_FIRST,
  EVERY_ADAPTER,
  NEST_11,
  TYPEORM_03,
  NOT_TYPEORM_03,
  TYPEORM_03_POSTGRES,
  ABOVE_STORE,
  TYPEORM_03_FIRST,
  SQLITE3_FIRST,
};
