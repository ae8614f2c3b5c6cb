const { default: Sequencer } = require('@jest/test-sequencer');

/** Tests that take more than 15 seconds, or minutes in the matrix. They start first, so that none is left for one worker at the end. */
const LONGEST = [
  'compat/installed',
  'chaos/',
  'ui/accessibility',
  'conformance/schedule/schedule',
  'ui/live-updates',
  'ui/addresses',
  'simulation/',
  'nest/database-outage',
  'processes/killed-worker',
  'ui/actions',
  'ui/schedules',
  'ui/topic-pause',
  'http/access.',
  'processes/many-workers',
  'processes/suspended',
  'processes/hot-reload',
  'processes/guide-tests',
  'ui/session',
  'nest/lost-lease',
  'conformance/complete/app-triggers',
  'conformance/claim/lower-bound',
  'conformance/migrate/migrations',
  'conformance/transactions/overlapping',
  'conformance/model',
  'nest/pgbouncer',
  'processes/shutdown',
  'nest/module-options',
];

/** Sorts the longest tests first. Without earlier timings Jest knows only the sizes of the files. */
module.exports = class LongestFirst extends Sequencer {
  /**
   * @override
   * @param {import('@jest/test-result').Test[]} tests
   */
  async sort(tests) {
    /** @param {import('@jest/test-result').Test} test */
    const isLong = ({ path }) => LONGEST.some((part) => path.includes(`/test/${part}`));
    const sorted = await super.sort(tests);
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
};
