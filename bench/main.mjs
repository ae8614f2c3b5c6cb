import { appendFileSync, chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readCommandLine } from './command-line.mjs';
import { install } from './installation.mjs';

/*
 * Benchmarks of the queue beside its peers; see docs/performance.md. What is installed first is imported after that.
 */

const orders = readCommandLine(process.argv.slice(2));
if (orders) {
  install();
  const { Tournament } = await import('./tournament.mjs');
  const { environment } = await import('./environment.mjs');
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
}
