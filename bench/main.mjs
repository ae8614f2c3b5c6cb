import { fork } from 'node:child_process';
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
  const program = fileURLToPath(new URL('benchmark.mjs', import.meta.url));
  const benchmark = fork(program, process.argv.slice(2), { execPath: pathOfNode() });
  benchmark.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}
