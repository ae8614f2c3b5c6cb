import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { findFreePort } from '../../test/support/free-port.js';
import { until } from '../../test/support/wait.js';
import { fillShop } from './shop.js';
import { takePictures } from './pictures.js';

/*
 * Makes the pictures of docs/admin-ui.md from the sample app: a shop with a busy quarter of an hour behind it.
 *
 *   npm run docs:screenshots
 *   npm run docs:screenshots -- <folder>    every screen in every look, to be looked at
 */

const ROOT = resolve(__dirname, '../..');
const TOKEN = 'a-token-for-pictures';

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'screenshots-'));
  const port = await findFreePort();
  const app = spawn(
    process.execPath,
    ['--require', join(__dirname, 'host-name.cjs'), join(ROOT, 'dist-sample/main.js')],
    {
      cwd: folder,
      env: { ...process.env, PORT: String(port), JOBS_ADMIN_TOKEN: TOKEN },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  try {
    const url = `http://127.0.0.1:${port}`;
    await until(
      () =>
        fetch(`${url}/orders`).then(
          ({ ok }) => ok,
          () => false,
        ),
      { timeoutMs: 30_000 },
    );
    await fillShop(url, TOKEN, join(folder, 'data/shop.sqlite'));
    const [other] = process.argv.slice(2);
    await takePictures(`${url}/admin/jobs/`, TOKEN, other ?? join(ROOT, 'docs/images'), other !== undefined);
  } finally {
    app.kill();
    await once(app, 'exit');
    rmSync(folder, { recursive: true, force: true });
  }
}

void main();
