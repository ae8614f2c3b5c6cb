import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { readCommandLine } from './command-line.mjs';
import { install } from './installation.mjs';
import { pathOfNode } from './nodes.mjs';

/*
 * Benchmarks of the queue beside its peers; see docs/performance.md. What is installed first includes the Node that runs
 * them.
 */

if (readCommandLine(process.argv.slice(2))) {
  install();
  const benchmark = fileURLToPath(new URL('benchmark.mjs', import.meta.url));
  const { status, error } = spawnSync(pathOfNode(), [benchmark, ...process.argv.slice(2)], { stdio: 'inherit' });
  if (error) throw error;
  process.exitCode = status ?? 1;
}
