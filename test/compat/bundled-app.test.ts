import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, useBuiltPackage } from '../processes/support/built-package.js';

const run = promisify(execFile);

let folder: string;

useBuiltPackage();

/** Below `node_modules`, where what is not in the bundle is found. */
beforeAll(async () => {
  folder = mkdtempSync(join(ROOT, 'node_modules/.bundled-app-'));
  await run(process.execPath, [join(ROOT, 'test/compat/apps/bundled/build.mjs'), join(folder, 'main.mjs')]);
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true }));

/** What the application says of itself, and whatever it logs. */
async function answerWith(ui: object): Promise<{ said: unknown; log: string }> {
  const { stdout, stderr } = await run(process.execPath, [join(folder, 'main.mjs'), JSON.stringify(ui)]);
  return { said: JSON.parse(stdout.trim().split('\n').at(-1)!), log: stdout + stderr };
}

describe('an application bundled into one ES module', () => {
  it('runs jobs, and says at start that the admin UI has no files', async () => {
    const { said, log } = await answerWith({});
    expect(said).toEqual({ job: 'completed', ui: 503 });
    expect(log).toContain('by the option ui.folder');
  });

  it('serves the admin UI from the folder that it names', async () => {
    const { said, log } = await answerWith({ folder: join(ROOT, 'dist/ui/') });
    expect(said).toEqual({ job: 'completed', ui: 200 });
    expect(log).not.toContain('ui.folder');
  });

  it('does not start with the folder of another page', async () => {
    await expect(answerWith({ folder: ROOT })).rejects.toThrow(
      'ui.folder: expected a copy of the folder dist/ui of nestjs-jobs, got',
    );
  });
});
