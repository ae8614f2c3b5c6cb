/** @matrix all */

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, useBuiltPackage } from '../processes/support/built-package.js';

const run = promisify(execFile);

let folder: string;

useBuiltPackage();

/** A folder below `node_modules`, so that the modules outside the bundle are found. */
beforeAll(async () => {
  folder = mkdtempSync(join(ROOT, 'node_modules/.bundled-app-'));
  await run(process.execPath, [join(ROOT, 'test/compat/apps/bundled/build.mjs'), join(folder, 'main.mjs')]);
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the application and returns its output. */
async function answerWith(ui: object): Promise<{ said: unknown; log: string }> {
  const { stdout, stderr } = await run(process.execPath, [join(folder, 'main.mjs'), JSON.stringify(ui)]);
  return { said: JSON.parse(stdout.trim().split('\n').at(-1)!), log: stdout + stderr };
}

describe('an application bundled into one ES module', () => {
  it('runs jobs and logs at start that the admin UI has no files', async () => {
    const { said, log } = await answerWith({});
    expect(said).toEqual({ job: 'completed', ui: 503 });
    expect(log).toContain('set ui.folder');
  });

  it('serves the admin UI from ui.folder', async () => {
    const { said, log } = await answerWith({ folder: join(ROOT, 'dist/ui/') });
    expect(said).toEqual({ job: 'completed', ui: 200 });
    expect(log).not.toContain('ui.folder');
  });

  it('does not start if ui.folder holds another page', async () => {
    await expect(answerWith({ folder: ROOT })).rejects.toThrow('ui.folder: ');
  });
});
