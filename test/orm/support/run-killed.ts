import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from '../../processes/support/built-package.js';
import type { OrmName } from './install-orm.js';
import type { OrmDatabase } from './use-orm.js';

export interface KilledProgramSettings {
  readonly name: OrmName;
  readonly database: OrmDatabase;
  readonly url: string;
  readonly action: 'enqueue' | 'complete';
  /** When the program dies, seen from the commit. */
  readonly moment: 'before' | 'after';
  readonly topic: string;
}

/** Runs a program until it has killed itself. @throws when it ends otherwise. */
export async function runKilled(settings: KilledProgramSettings): Promise<void> {
  const preloaded = [join(ROOT, 'test/processes/support/register-typescript.cjs'), join(__dirname, 'take-package.cjs')];
  const node = preloaded.flatMap((file) => ['-r', file]);
  const program = join(__dirname, 'killed-program.ts');
  const child = spawn(process.execPath, [...node, program, JSON.stringify(settings)], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (signal !== 'SIGKILL') {
    throw new Error(`expected the program to kill itself, got ${code ?? signal}:\n${output}`);
  }
}
