const { default: Sequencer } = require('@jest/test-sequencer');

/** What takes minutes, so that no worker begins it when the other one has nothing left to do. */
const LONGEST = [
  'compat/installed',
  'simulation/',
  'chaos/',
  'conformance/model',
  'ui/accessibility',
  'nest/module-options',
];

/** On a machine that has not run the tests before Jest knows no more than how large they are. */
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
