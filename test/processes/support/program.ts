import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { until } from '../../support/wait.js';
import { prepareWorkingTree } from '../../support/working-tree.js';
import type { Command, ProgramSettings, Report } from './protocol.js';

/** The end of a process: its exit code, or the signal that ended it. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

type Kind = Report['kind'];
type ReportOf<K extends Kind> = Extract<Report, { kind: K }>;

/** The programs that are applications of Nest. The others load the engine alone, which is faster. */
const WITH_NEST = ['nest-worker', 'open-and-close'];

/** On a busy machine, TypeScript takes a while to compile the program. */
const READY_TIMEOUT_MS = 50_000;

const running = new Set<Program>();

/** A program of `programs/` in its own process, with its reports so far. */
export class Program {
  readonly exited: Promise<Exit>;
  private readonly reports: Report[] = [];
  private exit: Exit | undefined;
  private output = '';

  /** Starts the program on the current `dist/` and waits for its report `ready`. */
  static async start(name: string, settings: ProgramSettings): Promise<Program> {
    const program = new Program(name, settings);
    await program.report('ready', undefined, READY_TIMEOUT_MS);
    return program;
  }

  private readonly child: ChildProcess;

  private constructor(
    private readonly name: string,
    settings: ProgramSettings,
  ) {
    const folder = prepareWorkingTree('built');
    const programs = join(folder, 'test/processes/support');
    const preloaded = ['register-typescript.cjs', ...(WITH_NEST.includes(name) ? [] : ['take-engine.cjs'])];
    this.child = fork(join(programs, 'programs', `${name}.ts`), [JSON.stringify(settings)], {
      cwd: folder,
      execArgv: preloaded.flatMap((file) => ['-r', join(programs, file)]),
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    running.add(this);
    const collect = (chunk: Buffer): void => void (this.output += chunk.toString());
    this.child.stdout!.on('data', collect);
    this.child.stderr!.on('data', collect);
    this.child.on('message', (report) => this.reports.push(report as Report));
    this.exited = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        this.exit = { code, signal };
        running.delete(this);
        resolve(this.exit);
      });
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** The output so far. */
  get printed(): string {
    return this.output;
  }

  send(command: Command): void {
    this.child.send(command);
  }

  /** Sends a signal. After SIGKILL or SIGTERM, wait for `exited`. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Returns all reports of a kind so far. */
  all<K extends Kind>(kind: K): ReportOf<K>[] {
    return this.reports.filter((report): report is ReportOf<K> => report.kind === kind);
  }

  /** Waits for the first matching report of a kind. */
  report<K extends Kind>(
    kind: K,
    fits: (report: ReportOf<K>) => boolean = () => true,
    timeoutMs = 20_000,
  ): Promise<ReportOf<K>> {
    const find = (): ReportOf<K> | undefined => {
      const found = this.all(kind).find(fits);
      if (!found && this.exit) {
        throw new Error(`${this.name} ended (${JSON.stringify(this.exit)}) without '${kind}':\n${this.output}`);
      }
      return found;
    };
    return until(find, { timeoutMs, message: `'${kind}' of ${this.name}` }) as Promise<ReportOf<K>>;
  }

  /** Returns the events of a type so far. */
  events(type: string): { id: string; attempt?: number }[] {
    return this.all('event')
      .map(({ event }) => event)
      .filter((event) => event.type === type);
  }

  /** Kills the program if it still runs. */
  async kill(): Promise<void> {
    if (!this.exit) {
      this.child.kill('SIGKILL');
      await this.exited;
    }
  }
}

/** Kills the remaining programs of a test, for `afterEach`. */
export async function killPrograms(): Promise<void> {
  await Promise.all([...running].map((program) => program.kill()));
}
