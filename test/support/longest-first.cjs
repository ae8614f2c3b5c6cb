const { default: Sequencer } = require('@jest/test-sequencer');

/** Tests that take more than 15 seconds, or minutes in the matrix. They start first, so that none is left for one worker at the end. */
const LONGEST = [
  'compat/installed',
  'chaos/',
  'simulation/simulation',
  'simulation/mutants',
  'processes/killed-worker',
  'conformance/group/linked-model',
  'conformance/model',
  'conformance/schedule/schedule',
  'sample-app/',
  'processes/many-workers',
  'processes/suspended',
  'processes/shutdown',
  'processes/transactional',
  'compat/packed',
  'ui/live-updates',
  'ui/actions',
  'ui/session',
  'ui/schedules',
  'ui/topic-pause',
  'ui/addresses',
  'nest/database-outage',
  'nest/pgbouncer',
  'nest/module-options',
  'conformance/migrate/migrations',
  'conformance/complete/app-triggers',
  'conformance/claim/lower-bound',
  'conformance/plans/limited',
  'processes/guide-tests',
  'processes/hot-reload',
  'processes/concurrent-migration',
  'nest/lost-lease',
];

/** Sorts the longest tests first. Without earlier timings Jest knows only the sizes of the files. */
module.exports = class LongestFirst extends Sequencer {
  /**
   * @override
   * @param {import('@jest/test-result').Test[]} tests
   */
  async sort(tests) {
    /** @param {import('@jest/test-result').Test} test */
    const isLong = (test) => LONGEST.some((part) => test.path.includes(`/test/${part}`));
    const sorted = await super.sort(tests);
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
};
