import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './free-port.mjs';
import { cpuSecondsOf } from './processes.mjs';

/** A server of its own for each measurement, with the stock settings of redis-server and what the contender sets. */
export class RedisStage {
  /** @param {string} folder */
  constructor(folder) {
    this.folder = folder;
  }

  /** @param {string} folder */
  static async start(folder) {
    try {
      execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    } catch (error) {
      throw new Error('expected redis-server on the path; install it, or choose --contenders without bullmq', {
        cause: error,
      });
    }
    return new RedisStage(folder);
  }

  /**
   * @param {string} _key
   * @param {import('../arena.mjs').Fill} fill
   * @param {Record<string, any>} options
   */
  async place(_key, fill, { redis: settings = {} }) {
    const folder = mkdtempSync(join(this.folder, 'redis-'));
    const port = await freePort();
    const given = { port, bind: '127.0.0.1', dir: folder, ...settings };
    const flags = Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const server = spawn('redis-server', flags, { stdio: 'ignore' });
    const address = `redis://127.0.0.1:${port}`;
    const kill = () => server.kill('SIGKILL');
    process.once('exit', kill);
    const close = async () => {
      process.off('exit', kill);
      kill();
      if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
      rmSync(folder, { recursive: true, force: true });
    };
    const redis = new Redis(address, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    // Refused connections are tried again until the server listens.
    redis.on('error', () => undefined);
    try {
      await Promise.race([redis.ping(), gone(server)]);
      await fill(address, (section) => info(address, section));
      // A snapshot that the filling set off would be somebody else's work.
      while (/rdb_bgsave_in_progress:1/.test(await redis.info('persistence'))) await sleep(50);
    } catch (error) {
      await close();
      throw error;
    } finally {
      redis.disconnect();
    }
    return {
      address,
      serverSeconds: async () => cpuSecondsOf(Number(server.pid)),
      walBytes: async () => NaN,
      query: (/** @type {string} */ section) => info(address, section),
      close,
    };
  }

  async forgetTemplates() {}

  async facts() {
    return { version: /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? '?' };
  }

  async stop() {}
}

/** @param {import('node:child_process').ChildProcess} server */
async function gone(server) {
  await once(server, 'exit');
  throw new Error('redis-server ended');
}

/** @param {string} address @param {string} section */
async function info(address, section) {
  const redis = new Redis(address);
  try {
    return [{ text: await redis.info(section) }];
  } finally {
    redis.disconnect();
  }
}
