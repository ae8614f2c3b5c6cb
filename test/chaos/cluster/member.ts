import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../../processes/support/built-package.js';
import type { MemberSettings } from '../protocol.js';
import { DIE_BEFORE_FOLLOW_UP } from '../protocol.js';
import { nowUs } from '../history.js';

/** A locker does nothing but hold the write lock of a SQLite file. */
export type Role = 'worker' | 'enqueuer' | 'locker';

/** How a process ended. */
export interface ProcessExit {
  readonly name: string;
  readonly role: Role;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last signal that the campaign sent; `null` if none. */
  readonly sentSignal: 'SIGKILL' | 'SIGTERM' | null;
  readonly atUs: number;
  /** The end of its output. */
  readonly output: string;
}

const OUTPUT_MAX = 4_000;
const PRELOADED = ['test/processes/support/register-typescript.cjs', 'test/processes/support/take-engine.cjs'];

/** A process that works on the queue or adds to it: a program of `programs/`, on `dist/` as it stands. */
export class Member {
  /** Resolves when the process is ready or has ended. */
  readonly ready: Promise<void>;
  readonly gone: Promise<ProcessExit>;
  isReady = false;
  isGone = false;
  isPaused = false;
  private told: ProcessExit['sentSignal'] = null;
  private output = '';
  private readonly child: ChildProcess;

  constructor(
    readonly role: Role,
    readonly settings: MemberSettings,
    /** A program that starts the process, with its arguments. */
    command: readonly string[] = [],
  ) {
    const [execPath, ...args] = [
      ...command,
      process.execPath,
      ...PRELOADED.flatMap((file) => ['-r', join(ROOT, file)]),
    ];
    this.child = fork(join(ROOT, 'test/chaos/programs', `${role}.ts`), [JSON.stringify(settings)], {
      cwd: ROOT,
      execPath,
      execArgv: args,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const collect = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-OUTPUT_MAX);
    };
    this.child.stdout!.on('data', collect);
    this.child.stderr!.on('data', collect);
    this.gone = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        this.isGone = true;
        this.isReady = false;
        const { name } = settings;
        resolve({ name, role, code, signal, sentSignal: this.told, atUs: nowUs(), output: this.output });
      });
    });
    this.ready = new Promise((resolve) => {
      this.child.once('message', () => {
        this.isReady = true;
        resolve();
      });
      void this.gone.then(() => resolve());
    });
  }

  get name(): string {
    return this.settings.name;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** Whether a fault may select it: it is ready and no other fault uses it. */
  get isFree(): boolean {
    return this.isReady && !this.isPaused && this.told === null;
  }

  kill(): void {
    this.told = 'SIGKILL';
    this.child.kill('SIGKILL');
  }

  /** Lets a worker kill itself before its next follow-up. Kills it after `maxMs`. Returns whether it was in time. */
  async killBeforeFollowUp(maxMs: number): Promise<boolean> {
    this.told = 'SIGKILL';
    this.child.send(DIE_BEFORE_FOLLOW_UP);
    const isInTime = await Promise.race([this.gone.then(() => true), sleep(maxMs, false, { ref: false })]);
    this.child.kill('SIGKILL');
    await this.gone;
    return isInTime;
  }

  /** Sends SIGTERM once; the process drains. */
  terminate(): void {
    if (this.told !== null) return;
    this.told = 'SIGTERM';
    this.child.kill('SIGTERM');
  }

  /** Kills a process that has not ended after SIGTERM. */
  finish(): void {
    this.child.kill('SIGKILL');
  }

  pause(): void {
    this.isPaused = true;
    this.child.kill('SIGSTOP');
  }

  resume(): void {
    this.isPaused = false;
    this.child.kill('SIGCONT');
  }
}
