import { once } from 'node:events';
import { createServer } from 'node:net';

/** Checks the port before the app starts, because the app runs jobs before it listens. @throws Error if the port is taken */
export async function ensureFreePort(port: number): Promise<void> {
  const probe = createServer().listen(port);
  try {
    await once(probe, 'listening');
  } catch (error) {
    const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    throw isTaken ? new Error(`port ${port} is taken; choose another one, such as PORT=${port + 1} npm start`) : error;
  }
  probe.close();
  await once(probe, 'close');
}
