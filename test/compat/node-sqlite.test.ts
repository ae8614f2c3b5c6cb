/**
 * @matrix all
 * @slow
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PathOfNode } from './support/nodes.js';
import { installNodes } from './support/nodes.js';

const ROOT = join(__dirname, '../..');
const JEST = createRequire(__filename).resolve('jest/bin/jest');
const MAX_MS = 900_000;

/** They start processes of their own, need what TypeORM does with its driver, or wait for minutes on nothing about SQL. */
const LEFT_OUT = 'synchronize|concurrent-migrations|serialized-transactions|rolling-versions';

interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly { readonly message: string }[];
}

describe('node:sqlite', () => {
  let pathOf: PathOfNode;

  beforeAll(async () => {
    pathOf = await installNodes();
  }, 300_000);

  it(
    'passes the conformance suite with Node 22',
    async () => {
      const report = join(await mkdtemp(join(tmpdir(), 'node-sqlite-')), 'report.json');
      const { JOBS_TEST_TIER: _, ...env } = process.env;
      const selected = ['--selectProjects', 'TypeORM 1.x', '--testNamePattern', 'a SQLite file'];
      const files = ['--testPathIgnorePatterns', LEFT_OUT, '--testPathPatterns', 'test/conformance/'];
      const written = ['--ci', '--silent', '--maxWorkers', '2', '--json', '--outputFile', report];
      const run = spawn(pathOf('Node 22'), [JEST, ...selected, ...files, ...written], {
        cwd: ROOT,
        // No test that is selected connects to a server.
        env: { ...env, JOBS_TEST_NODE_SQLITE: '1', JOBS_TEST_POSTGRES_URL: 'postgres://127.0.0.1:1/none' },
        stdio: 'ignore',
      });
      await once(run, 'exit');
      const { numPassedTests, testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report;
      expect(testResults.map(({ message }) => message).filter(Boolean)).toEqual([]);
      expect(numPassedTests).toBeGreaterThan(1_200);
    },
    MAX_MS,
  );
});
