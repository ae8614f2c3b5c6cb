import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryFolder {
  path: string;
  remove: () => Promise<void>;
}

/** A new folder that disappears with all it contains when this process ends, however it ends; see `postgres-server.ts`. */
export function createTemporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'nestjs-jobs-'));
  const remover = spawn('/bin/sh', ['-c', 'cat >/dev/null; rm -rf "$1"', 'sh', path], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const closed = once(remover, 'close');
  return {
    path,
    remove: async () => {
      remover.stdin.end();
      await closed;
    },
  };
}
