/** @slow */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, useBuiltPackage } from '../processes/support/built-package.js';
import { createPostgresDatabase, createSqliteFile, postgresVersions } from '../support/databases.js';

const PRELOADED = ['test/processes/support/register-typescript.cjs', 'test/compat/support/hide-packages.cjs'];

/** Tests an application in a process that cannot load TypeORM. Returns the results of the jobs that ran. */
async function testApp(options: object): Promise<unknown> {
  const node = PRELOADED.flatMap((file) => ['-r', join(ROOT, file)]);
  const program = join(__dirname, 'support/without-typeorm.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [...node, program, JSON.stringify(options)], {
    env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR, HIDDEN: 'typeorm,@nestjs/typeorm' },
  });
  return JSON.parse(stdout);
}

useBuiltPackage();

describe('the testing kit without TypeORM', () => {
  it('runs jobs and moves the time on PostgreSQL', async () => {
    const { url, drop } = await createPostgresDatabase(postgresVersions()[0]!);
    expect(await testApp({ database: url })).toEqual([['Hello, Ada!'], ['Hello, Grace!']]);
    await drop();
  });

  it('runs jobs and moves the time on a SQLite file', async () => {
    const { path, remove } = await createSqliteFile();
    expect(await testApp({ database: `sqlite:${path}` })).toEqual([['Hello, Ada!'], ['Hello, Grace!']]);
    await remove();
  });

  it('names the option that is missing', async () => {
    await expect(testApp({})).rejects.toThrow('use the option database');
  });
});
