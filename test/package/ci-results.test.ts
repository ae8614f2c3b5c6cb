import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROOT = resolve(__dirname, '../..');

/** A result of a test file as Jest writes it: the states of its tests, and how long they took. */
function fileResult(file: string, states: readonly string[], seconds = 5): object {
  const isFailed = states.includes('failed') || states.length === 0;
  return {
    name: join(ROOT, file),
    status: isFailed ? 'failed' : 'passed',
    startTime: 0,
    endTime: seconds * 1_000,
    assertionResults: states.map((status, index) => ({ status, fullName: `test ${index}` })),
  };
}

const passing = ['passed', 'passed'];
const failing = ['passed', 'failed'];

describe('the results of .ci/run', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ci-results-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (name: string, results: readonly object[], success = false): void =>
    writeFileSync(join(folder, `${name}.json`), JSON.stringify({ success, testResults: results }));
  const run = (command: string, ...runs: string[]): { lines: string[]; code: number | null } => {
    const script = join(ROOT, 'scripts/ci-results.mjs');
    const { stdout, stderr, status } = spawnSync(process.execPath, [script, command, folder, ...runs], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    return { lines: stdout.trim().split('\n'), code: status };
  };

  it('add the tests of all runs', () => {
    write('test', [fileResult('test/a.test.ts', passing)], true);
    write('0', [fileResult('test/a.test.ts', passing), fileResult('test/b.test.ts', ['passed', 'pending'])], true);
    expect(run('sum', 'test', '0')).toEqual({ lines: ['5 passed, 0 failed'], code: 0 });
    expect(run('repeatable', 'test', '0').lines).toEqual(['']);
  });

  it('name the files that run once more, but none that searches for lost or doubled jobs, and no long one', () => {
    write('test', [
      fileResult('test/http/a.test.ts', failing),
      fileResult('test/conformance/model.test.ts', failing),
      fileResult('test/processes/killed-worker.test.ts', failing),
      fileResult('test/chaos/sqlite.test.ts', failing),
    ]);
    write('0', [fileResult('test/http/a.test.ts', passing), fileResult('test/ui/long.test.ts', failing, 400)]);
    expect(run('repeatable', 'test', '0').lines).toEqual(['test test/http/a.test.ts']);
  });

  it('name no file if many fail', () => {
    write(
      'test',
      [1, 2, 3, 4, 5, 6].map((nth) => fileResult(`test/${nth}.test.ts`, failing)),
    );
    expect(run('repeatable', 'test').lines).toEqual(['']);
  });

  it('count a file by its repetition', () => {
    // The file runs in two Jest projects.
    write('test', [fileResult('test/a.test.ts', failing), fileResult('test/a.test.ts', passing)]);
    write('0', [fileResult('test/a.test.ts', failing), fileResult('test/b.test.ts', failing)]);
    write('test.repeat-1', [fileResult('test/a.test.ts', passing), fileResult('test/a.test.ts', passing)], true);
    write('0.repeat-2', [fileResult('test/b.test.ts', failing)]);
    expect(run('sum', 'test')).toEqual({
      lines: [
        'failed: test/a.test.ts: test 1',
        'failed once, passed when repeated: test/a.test.ts',
        '4 passed, 0 failed',
      ],
      code: 0,
    });
    expect(run('sum', 'test', '0')).toEqual({
      lines: [
        'failed: test/a.test.ts: test 1',
        'failed once, passed when repeated: test/a.test.ts',
        'failed: test/a.test.ts: test 1',
        'failed: test/b.test.ts: test 1',
        'failed once, failed when repeated: test/b.test.ts',
        '6 passed, 2 failed',
      ],
      code: 1,
    });
  });

  it('count a run without a result, a file that does not load, and a run that fails without a failed test', () => {
    write('0', [fileResult('test/a.test.ts', []), fileResult('test/b.test.ts', passing)]);
    write('1', [fileResult('test/a.test.ts', passing)]);
    expect(run('sum', 'test')).toEqual({
      lines: ['failed outside its tests: the run test', '0 passed, 1 failed'],
      code: 1,
    });
    expect(run('sum', '0')).toEqual({
      lines: ['failed: test/a.test.ts: the file itself', '2 passed, 1 failed'],
      code: 1,
    });
    expect(run('sum', '1')).toEqual({
      lines: ['failed outside its tests: the run 1', '2 passed, 1 failed'],
      code: 1,
    });
  });
});
