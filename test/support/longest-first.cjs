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

/** On a busy machine, this file sometimes fails while the chaos campaign runs beside it. */
const LAST = ['ui/accessibility'];

/** Sorts the longest tests first. Without earlier timings Jest knows only the sizes of the files. */
module.exports = class LongestFirst extends Sequencer {
  /**
   * @override
   * @param {import('@jest/test-result').Test[]} tests
   */
  async sort(tests) {
    /** @param {string[]} parts @returns {(test: import('@jest/test-result').Test) => boolean} */
    const isOneOf = (parts) => (test) => parts.some((part) => test.path.includes(`/test/${part}`));
    const [isLong, isLast] = [isOneOf(LONGEST), isOneOf(LAST)];
    const sorted = await super.sort(tests);
    const others = sorted.filter((test) => !isLong(test) && !isLast(test));
    return [...sorted.filter(isLong), ...others, ...sorted.filter(isLast)];
  }
};
