// Reads the results that the runs of `.ci/run` have written as RUN.json, and those of repeated files as RUN.repeat-N.json:
//   ci-results.mjs repeatable FOLDER RUN...   prints the run and the path of each failed file that runs once more
//   ci-results.mjs sum FOLDER RUN...          prints the failed tests and the sums of all runs, and fails if a test has failed
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
/** These tests search at random for lost and doubled jobs. Another run may not find the job of a failure again. */
const NEVER_REPEATED = /^test\/(chaos|simulation)\/|\b(model|random-transactions|killed-worker)\.test\.ts$/;
/** More files do not fail by chance. */
const REPEATED_MAX = 5;
/** A longer file would exceed the time of the whole run. */
const REPEATED_SECONDS_MAX = 300;

const [command, folder = '', ...runs] = process.argv.slice(2);

/** @typedef {{ status: string, fullName: string }} Assertion */
/** @typedef {{ status: string, startTime: number, endTime: number, assertionResults: Assertion[] }} Result */

/** @param {Result} result @param {string} status */
const testsOf = (result, status) => result.assertionResults.filter((test) => test.status === status);

/** The results of one test file, one for each Jest project. */
class FileResults {
  /** @param {Result[]} results */
  constructor(results) {
    const failed = results.filter(({ status }) => status === 'failed');
    this.passed = results.reduce((sum, result) => sum + testsOf(result, 'passed').length, 0);
    this.failures = failed.flatMap((result) => {
      const names = testsOf(result, 'failed').map(({ fullName }) => fullName);
      // A file that does not load counts as one failure.
      return names.length > 0 ? names : ['the file itself'];
    });
    this.failed = this.failures.length;
    this.seconds = results.reduce((sum, { startTime, endTime }) => sum + (endTime - startTime) / 1_000, 0);
  }
}

/**
 * @param {string} name
 * @returns {{ success: boolean, files: Map<string, FileResults> } | undefined} undefined if Jest has not written the report
 */
function readReport(name) {
  const path = join(folder, name);
  if (!existsSync(path)) return undefined;
  const { success, testResults } = JSON.parse(readFileSync(path, 'utf8'));
  const byFile = new Map();
  for (const result of testResults) {
    const file = relative(ROOT, result.name);
    byFile.set(file, [...(byFile.get(file) ?? []), result]);
  }
  return { success, files: new Map([...byFile].map(([file, results]) => [file, new FileResults(results)])) };
}

function printRepeatable() {
  const failed = runs.flatMap((run) => {
    const files = [...(readReport(`${run}.json`)?.files ?? [])];
    return files.map(([file, results]) => ({ run, file, ...results })).filter((each) => each.failed > 0);
  });
  if (failed.length > REPEATED_MAX) return;
  for (const { run, file, seconds } of failed) {
    if (!NEVER_REPEATED.test(file) && seconds <= REPEATED_SECONDS_MAX) console.log(`${run} ${file}`);
  }
}

function printSum() {
  let [passed, failed] = [0, 0];
  for (const run of runs) {
    const report = readReport(`${run}.json`);
    const files = [...(report?.files ?? [])];
    // A run without a report counts as one failure, and so does one that failed without a failed test.
    if (!report?.success && files.every(([, results]) => results.failed === 0)) {
      failed += 1;
      console.log(`failed outside its tests: the run ${run}`);
    }
    const repeats = readdirSync(folder).filter((name) => name.startsWith(`${run}.repeat-`));
    const repeated = new Map(repeats.flatMap((name) => [...(readReport(name)?.files ?? [])]));
    for (const [file, first] of files) {
      const last = repeated.get(file) ?? first;
      passed += last.passed;
      failed += last.failed;
      for (const name of first.failures) console.log(`failed: ${file}: ${name}`);
      if (last !== first) console.log(`failed once, ${last.failed > 0 ? 'failed' : 'passed'} when repeated: ${file}`);
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (command === 'repeatable') printRepeatable();
else printSum();
