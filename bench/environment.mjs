import { execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { quantile } from './results/statistics.mjs';

/** File systems that forget, by the number the kernel gives them: what is written there is never on a disk. */
const IN_MEMORY = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
]);
const FSYNCS = 50;

/** What the figures depend on beside the contenders. @param {string} folder where the databases are */
export function environment(folder) {
  refuseMemory(folder);
  return {
    at: new Date().toISOString(),
    commit:
      git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', 'lib', 'migrations') ? ' changed' : ''),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    load: loadavg().map((load) => Math.round(load * 100) / 100),
    node: process.version,
    fsyncMs: fsyncMs(folder),
    packages: packages(),
  };
}

/** @param {string} folder */
function refuseMemory(folder) {
  const name = IN_MEMORY.get(statfsSync(folder).type);
  if (name) throw new Error(`${folder} is in memory (${name}), where fsync costs nothing: name another with --folder`);
}

/** How long a written page takes to be on the disk: the median. @param {string} folder */
function fsyncMs(folder) {
  const file = join(folder, `fsync-${process.pid}`);
  const descriptor = openSync(file, 'w');
  const page = Buffer.alloc(8_192, 1);
  const timesMs = Array.from({ length: FSYNCS }, () => {
    const sinceMs = performance.now();
    writeSync(descriptor, page);
    fsyncSync(descriptor);
    return performance.now() - sinceMs;
  });
  closeSync(descriptor);
  rmSync(file);
  return Math.round(Number(quantile(timesMs, 0.5)) * 100) / 100;
}

function packages() {
  const names = [
    'nestjs-jobs',
    'graphile-worker',
    'pg-boss',
    'sidequest',
    'bullmq',
    'ioredis',
    'plainjob',
    'pg',
    'better-sqlite3',
    'typeorm',
  ];
  const versions = names.map((name) => [name, versionOf(`node_modules/${name}`)]);
  const older = ['typeorm', 'sqlite3'].map((name) => [`${name} (0.3)`, versionOf(`typeorm-0.3/node_modules/${name}`)]);
  return Object.fromEntries([...versions, ...older]);
}

/** @param {string} folder */
function versionOf(folder) {
  return JSON.parse(readFileSync(new URL(`${folder}/package.json`, import.meta.url), 'utf8')).version;
}

/** @param {string[]} args */
function git(...args) {
  try {
    return execFileSync('git', args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      cwd: new URL('..', import.meta.url),
    }).trim();
  } catch {
    return '';
  }
}
