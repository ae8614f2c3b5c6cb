import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { install } from '../installation.mjs';
import { pathOfNode } from '../nodes.mjs';
import { readSoakOrders } from './command-line.mjs';

/* The soak test: see docs/performance.md. */

const orders = readSoakOrders(process.argv.slice(2));
if (orders?.page) {
  const { writeSoakPage } = await import('./page.mjs');
  writeSoakPage(orders.out);
} else if (orders) {
  install();
  const program = fileURLToPath(new URL('soak.mjs', import.meta.url));
  const soak = fork(program, process.argv.slice(2), { execPath: pathOfNode() });
  soak.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}
