import { appendFileSync, chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCommandLine } from './command-line.mjs';
import { environment } from './environment.mjs';
import { Tournament } from './tournament.mjs';

/* What main.mjs starts: everything is installed, and this is the Node for it. */

// It ends with whoever started it, and its children and servers with it.
process.on('disconnect', () => process.exit(1));

const orders = readCommandLine(process.argv.slice(2));
if (orders) {
  const folder = mkdtempSync(join(orders.folder ?? tmpdir(), 'nestjs-jobs-bench-'));
  // PostgreSQL may run as another user than the one that made it.
  chmodSync(folder, 0o755);
  const out = orders.out ?? fileURLToPath(new URL('results.jsonl', import.meta.url));
  const write = (/** @type {object} */ line) => appendFileSync(out, `${JSON.stringify(line)}\n`);
  const tournament = new Tournament(orders, folder, write);
  try {
    const recorded = { environment: environment(folder), command: process.argv.slice(2).join(' ') };
    console.log(JSON.stringify(recorded, null, 2));
    write(recorded);
    await tournament.run();
  } finally {
    await tournament.end();
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`\nfigures: ${out}`);
  process.removeAllListeners('disconnect').disconnect();
}
