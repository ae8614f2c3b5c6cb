const { AsyncLocalStorage } = require('node:async_hooks');
const { relative, sep } = require('node:path');
const { TestEnvironment } = require('jest-environment-node');
const { isSelected, isCovered, ROOT } = require('./tiers.cjs');

/** @typedef {import('@jest/types').Circus.DescribeBlock} DescribeBlock */

// A package of Jest ends the process at this signal unless it has another listener. full-disk.test.ts limits the size of files.
process.on('SIGXFSZ', () => undefined);

/**
 * What the current test file has used. In Node 20 each one slows down every promise of the process until it is disabled: after 12
 * files the tests took 19 % more CPU.
 *
 * @type {Set<AsyncLocalStorage<unknown>>}
 */
const usedStorages = new Set();
for (const method of /** @type {const} */ (['run', 'enterWith'])) {
  const original = AsyncLocalStorage.prototype[method];
  Object.defineProperty(AsyncLocalStorage.prototype, method, {
    /** @this {AsyncLocalStorage<unknown>} @param {unknown[]} args */
    value(...args) {
      usedStorages.add(this);
      return Reflect.apply(original, this, args);
    },
  });
}

/**
 * Removes the tests that the Jest project does not select, before any hook runs. The global variable `hasTestFailed` tells hooks whether
 * the current test has failed.
 */
module.exports = class TierEnvironment extends TestEnvironment {
  /**
   * @param {import('@jest/environment').JestEnvironmentConfig} config
   * @param {import('@jest/environment').EnvironmentContext} context
   */
  constructor(config, context) {
    super(config, context);
    this.part = /** @type {import('./tiers.cjs').Part} */ (config.projectConfig.testEnvironmentOptions);
    /** @type {Set<unknown>} */
    this.quickTests = new Set();
    this.global.quickTests = this.quickTests;
    this.file = relative(ROOT, context.testPath).split(sep).join('/');
  }

  /**
   * @param {import('@jest/types').Circus.Event} event
   * @param {import('@jest/types').Circus.State} state
   */
  handleTestEvent(event, state) {
    if (event.name === 'run_start') this.select(state.rootDescribeBlock, '');
    if (event.name === 'test_start') this.global.hasTestFailed = false;
    if (event.name === 'test_fn_failure' || event.name === 'hook_failure') this.global.hasTestFailed = true;
  }

  /** @override */
  async teardown() {
    for (const storage of usedStorages) {
      storage.disable();
    }
    usedStorages.clear();
    await super.teardown();
  }

  /** @type {(block: DescribeBlock, path: string) => void} */
  select(block, path) {
    block.children = block.children.filter((child) => {
      const title = `${path} ${child.name}`;
      if (child.type === 'describeBlock') {
        this.select(child, title);
        return true;
      }
      const isQuick = this.quickTests.has(child.fn);
      if (isSelected(this.part, this.file, title, isQuick)) return true;
      if (isCovered(this.part, this.file, title, isQuick)) return false;
      throw new Error(`neither tier runs the test '${title.trim()}'; see test/support/tiers.cjs`);
    });
    block.tests = block.tests.filter((test) => block.children.includes(test));
  }
};
