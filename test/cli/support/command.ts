import { PassThrough } from 'node:stream';
import type { DataSource } from 'typeorm';
import { runCli } from '../../../lib/cli/cli.js';
import { storeKinds } from '../../support/stores.js';

/** What a command printed, and its exit code. */
export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Text that the user types on a terminal. Default: there is no terminal. */
  readonly typed?: string;
  /** Whether stdout is a terminal. */
  readonly isTerminal?: boolean;
  /** The wall clock of the process. */
  readonly now?: () => number;
}

/** Runs a command in this process. */
export async function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { env = {}, typed, isTerminal = false, now } = options;
  const stdin = Object.assign(new PassThrough(), { isTTY: typed !== undefined });
  stdin.end(typed);
  const [stdout, out] = collect(isTerminal);
  const [stderr, err] = collect(isTerminal);
  const code = await runCli(args, { env, stdin, stdout, stderr, ...(now && { now }) });
  return { code, out: out(), err: err() };
}

/** Runs a command with `--json` and returns its result. @throws unless it ends with this code. */
export async function readJson<T>(args: readonly string[], url: string, expectedCode = 0): Promise<T> {
  const { code, out, err } = await runCommand([...args, '--json', '--url', url]);
  if (code !== expectedCode) throw new Error(`exit code ${code}: ${err}${out}`);
  return JSON.parse(out) as T;
}

function collect(isTTY: boolean): [PassThrough & { isTTY: boolean }, () => string] {
  const chunks: Buffer[] = [];
  const stream = Object.assign(new PassThrough(), { isTTY });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return [stream, () => Buffer.concat(chunks).toString()];
}

/** PostgreSQL and a SQLite file. A command cannot reach a database in memory. */
export function reachableKinds(): ReturnType<typeof storeKinds> {
  return storeKinds().filter(({ isMain }) => isMain);
}

/** Returns the URL of an application's database for the command line. */
export function toUrl({ options }: DataSource): string {
  return options.type === 'postgres' ? options.url! : `sqlite:${String(options.database)}`;
}
