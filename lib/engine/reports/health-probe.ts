import { constants } from 'node:fs';
import { access, rm, writeFile } from 'node:fs/promises';
import type { Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { dirname } from 'node:path';
import { toErrorMessage } from '../../core/error-text.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { ProbeOption } from '../../core/options.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';
import type { QueueHealth } from './queue-health.js';

/** Shows the health of a process without HTTP of its own to the platform that runs it. `start` and `stop` may be called more than once. */
export interface HealthProbe {
  /** @throws InvalidOptionsError when it cannot use the port or the file. */
  start(): Promise<void>;
  /** Reports from now on, until `start`, that the process is not ready. */
  drain(): Promise<void>;
  /** Ends the probe, unless `start` was called after `drain`. */
  stop(): Promise<void>;
}

interface ProbeParts extends Pick<EngineParts, 'clock' | 'failureLog' | 'logger' | 'random'> {
  readonly health: Pick<QueueHealth, 'check'>;
}

export function createProbe(option: ProbeOption | undefined, parts: ProbeParts): HealthProbe | undefined {
  if (option === undefined) {
    return undefined;
  }
  return typeof option === 'number' ? new HttpProbe(option, parts) : new FileProbe(option.file, parts);
}

/** `/live` is up while the event loop replies, since no restart repairs a database. `/ready` checks the database and the loops. */
class HttpProbe implements HealthProbe {
  private server: Server | undefined;
  private isDraining = false;
  /** Requests at the same time share a check. */
  private checking: Promise<boolean> | undefined;

  constructor(
    private readonly port: number,
    private readonly parts: ProbeParts,
  ) {}

  async start(): Promise<void> {
    this.isDraining = false;
    if (this.server) {
      return;
    }
    const server = createServer(({ url }, response) => void this.reply(url ?? '', response));
    this.server = server;
    // The probe alone does not keep the process alive.
    server.unref();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.port, resolve);
    }).catch((error: unknown) => {
      this.server = undefined;
      const isInUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      const reason = isInUse ? `port ${this.port} is in use` : toErrorMessage(error);
      throw new InvalidOptionsError('probe', `${reason}; choose a free port for each process`, { cause: error });
    });
    server.on('error', (error) => this.parts.logger.error(`probe: ${toErrorMessage(error)}`));
    this.parts.logger.log(`probe: listening on port ${this.port}, at /live and /ready`);
  }

  drain(): Promise<void> {
    this.isDraining = true;
    return Promise.resolve();
  }

  async stop(): Promise<void> {
    const { server } = this;
    if (server && this.isDraining) {
      this.server = undefined;
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    }
  }

  private async reply(url: string, response: ServerResponse): Promise<void> {
    const [path] = url.split('?');
    if (path === '/live') {
      send(response, 200, 'up');
    } else if (path === '/ready') {
      const isReady = !this.isDraining && (await this.check()) && !this.isDraining;
      send(response, isReady ? 200 : 503, isReady ? 'up' : 'down');
    } else {
      send(response, 404, 'unknown path');
    }
  }

  private check(): Promise<boolean> {
    this.checking ??= isUp(this.parts).finally(() => {
      this.checking = undefined;
    });
    return this.checking;
  }
}

/** How often the file is touched, and how often a process that is not ready is checked. */
const TOUCH_INTERVAL_MS = 5_000;
const RETRY_INTERVAL_MS = 500;

/** Touches the file while the process is ready, so that its age says how long ago that was. */
class FileProbe implements HealthProbe {
  private readonly loop: PollLoop;
  /** Resolves when the file is gone; `undefined` while the probe runs. */
  private ended: Promise<void> | undefined = Promise.resolve();

  constructor(
    private readonly file: string,
    private readonly parts: ProbeParts,
  ) {
    const work = (): Promise<number> => this.touch();
    this.loop = new PollLoop({ ...parts, name: 'touching the probe file', intervalMs: TOUCH_INTERVAL_MS, work });
  }

  async start(): Promise<void> {
    if (this.ended) {
      try {
        await access(dirname(this.file), constants.W_OK);
        // A process that was killed may have left it.
        await rm(this.file, { force: true });
      } catch (error) {
        throw new InvalidOptionsError('probe.file', `cannot be written: ${toErrorMessage(error)}`, { cause: error });
      }
      this.ended = undefined;
      this.loop.start();
    }
  }

  drain(): Promise<void> {
    this.ended ??= this.end();
    return this.ended;
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  private async end(): Promise<void> {
    await this.loop.stop();
    if (this.ended) {
      await rm(this.file, { force: true }).catch((error: unknown) =>
        this.parts.logger.warn(`probe: cannot remove '${this.file}': ${toErrorMessage(error)}`),
      );
    }
  }

  /** @returns how long to wait for the next time. */
  private async touch(): Promise<number> {
    const isReady = (await isUp(this.parts)) && !this.ended;
    if (isReady) {
      await writeFile(this.file, '');
    }
    return isReady ? TOUCH_INTERVAL_MS : RETRY_INTERVAL_MS;
  }
}

async function isUp({ health, logger }: ProbeParts): Promise<boolean> {
  try {
    return (await health.check()).status === 'up';
  } catch (error) {
    logger.error(`probe: the health check threw: ${toErrorMessage(error)}`);
    return false;
  }
}

/** Sends no message of an error: the port asks for no credentials. */
function send(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(`${text}\n`);
}
