import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '../../support/free-port.js';
import { until } from '../../support/wait.js';
import { ROOT } from './built-package.js';

/** Compiles and starts the sample app, which takes seconds on a busy machine. */
const START_TIMEOUT_MS = 60_000;

const COPIED = ['sample-app', 'package.json', 'nest-cli.json', 'tsconfig.json', 'tsconfig.sample.json'];
const LINKED = ['node_modules', 'dist'];

/**
 * Starts the command in the background and kills its process group, including the application, when the test run closes
 * the pipe.
 */
const RUN_UNTIL_PIPE_CLOSES = '"$@" </dev/null & cat >/dev/null; kill -KILL 0';

/** A job that logs its start and waits for the file `go`. */
const PARCEL_JOBS = `
import { Injectable } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

@Injectable()
export class ParcelJobs {
  @JobHandler('weigh_parcel')
  async weigh(job: JobContext): Promise<number> {
    console.log(\`weighing in \${process.pid}\`);
    while (!existsSync('go')) {
      await sleep(10, undefined, { signal: job.signal });
    }
    return process.pid;
  }
}
`;

/** The sample app with one more handler, in its own folder, under `nest start --watch`. */
export class WatchedSample {
  private output = '';

  private constructor(
    private readonly folder: string,
    private readonly life: ChildProcess,
  ) {
    const collect = (chunk: Buffer): void => void (this.output += chunk.toString());
    life.stdout!.on('data', collect);
    life.stderr!.on('data', collect);
  }

  /** Starts the app with this shutdownTimeout and waits until it listens. */
  static async start(shutdownTimeout: string): Promise<WatchedSample> {
    const folder = await mkdtemp(join(tmpdir(), 'watched-'));
    await Promise.all([
      ...COPIED.map((name) => cp(join(ROOT, name), join(folder, name), { recursive: true })),
      ...LINKED.map((name) => symlink(join(ROOT, name), join(folder, name))),
    ]);
    await addHandler(join(folder, 'sample-app'), shutdownTimeout);

    const command = [
      process.execPath,
      'node_modules/@nestjs/cli/bin/nest.js',
      'start',
      '--watch',
      '--no-shell',
      '--preserveWatchOutput',
    ];
    const life = spawn('/bin/sh', ['-c', RUN_UNTIL_PIPE_CLOSES, 'sh', ...command], {
      cwd: folder,
      detached: true,
      env: { ...process.env, PORT: String(await findFreePort()) },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const sample = new WatchedSample(folder, life);
    await sample.started(1);
    return sample;
  }

  get databaseFile(): string {
    return join(this.folder, 'data/shop.sqlite');
  }

  /** Waits until the app has started this many times. */
  async started(times: number): Promise<void> {
    await this.printed('Stop with Ctrl-C.', times);
  }

  /** Waits until the app has received this many stop signals. */
  async stopping(times: number): Promise<void> {
    await this.printed('Stopping:', times);
  }

  /** Waits until the job has started this many times and returns the process of each start. */
  async weighing(times: number): Promise<number[]> {
    await this.printed('weighing in', times);
    return Array.from(this.output.matchAll(/weighing in (\d+)/g), ([, pid]) => Number(pid));
  }

  /** Saves a source file. */
  async touch(): Promise<void> {
    await appendFile(join(this.folder, 'sample-app/outbox.ts'), '// saved\n');
  }

  /** Lets the job continue. */
  async continueJob(): Promise<void> {
    await writeFile(join(this.folder, 'go'), '');
  }

  /** Ends the app with all its processes. */
  async end(): Promise<void> {
    const closed = once(this.life, 'close');
    this.life.stdin!.end();
    await closed;
  }

  private async printed(text: string, times: number): Promise<void> {
    const isPrinted = (): boolean => this.output.split(text).length > times;
    await until(isPrinted, { timeoutMs: START_TIMEOUT_MS, message: `'${text}', ${times} times` }).catch(
      (error: Error) => {
        throw new Error(`${error.message}, in:\n${this.output}`);
      },
    );
  }
}

/** Adds the handler and the shutdownTimeout to the copy of the sample app. */
async function addHandler(folder: string, shutdownTimeout: string): Promise<void> {
  const path = join(folder, 'app.module.ts');
  const source = await readFile(path, 'utf8');
  const changed = source
    .replace('JobsModule.forRoot({', `JobsModule.forRoot({ shutdownTimeout: '${shutdownTimeout}',`)
    .replace('providers: [', 'providers: [ParcelJobs, ');
  await writeFile(path, `import { ParcelJobs } from './parcel.jobs.js';\n${changed}`);
  await writeFile(join(folder, 'parcel.jobs.ts'), PARCEL_JOBS);
}
