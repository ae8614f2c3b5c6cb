const { relative, sep } = require('node:path');
const { default: Sequencer } = require('@jest/test-sequencer');
const { ROOT, tagsOf } = require('./tiers.cjs');

/**
 * Starts the files with the tag `@slow` first, so that none is left for one worker at the end. Without earlier timings Jest knows only
 * the sizes of the files.
 */
module.exports = class LongestFirst extends Sequencer {
  /**
   * @override
   * @param {import('@jest/test-result').Test[]} tests
   */
  async sort(tests) {
    /** @param {import('@jest/test-result').Test} test */
    const isSlow = (test) => tagsOf(relative(ROOT, test.path).split(sep).join('/')).isSlow;
    const sorted = await super.sort(tests);
    return [...sorted.filter(isSlow), ...sorted.filter((test) => !isSlow(test))];
  }
};
