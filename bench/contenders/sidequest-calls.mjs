import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

/** @typedef {import('./index.mjs').Payload} Payload */

const ADDRESS = 'BENCH_SIDEQUEST_PORT';

/** Runs the jobs whose handlers are called in threads of a child process. The threads find the port in the environment. */
export async function acceptCalls(/** @type {(payload: Payload) => Promise<void>} */ run) {
  const server = createServer((socket) => {
    socket.setNoDelay(true);
    createInterface(socket).on('line', (line) => {
      void run(JSON.parse(line)).then(() => socket.write('\n'));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  process.env[ADDRESS] = String(typeof address === 'object' && address?.port);
}

/** A thread runs one job at a time, so each reply belongs to the last call. @type {import('node:net').Socket | undefined} */
let socket;

/** Resolves when the measured process has run the job. @param {Payload} payload @returns {Promise<void>} */
export function call(payload) {
  const open = (socket ??= connect(Number(process.env[ADDRESS]), '127.0.0.1').setNoDelay(true));
  return new Promise((resolve, reject) => {
    open.once('error', reject);
    open.once('data', () => {
      open.off('error', reject);
      resolve();
    });
    open.write(`${JSON.stringify(payload)}\n`);
  });
}
