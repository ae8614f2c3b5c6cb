const { default: Sequencer } = require('@jest/test-sequencer');

/** Tests that take minutes. They start first, so that none is left for one worker at the end. */
const LONGEST = [
  'compat/installed',
  'chaos/',
  'simulation/',
  'ui/accessibility',
  'ui/live-updates',
  'conformance/model',
  'nest/database-outage',
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
