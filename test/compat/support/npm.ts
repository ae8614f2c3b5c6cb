import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * Runs npm in a folder. What the cache has is not asked for again, and no script of a package runs: the native addon comes
 * from the repository's own installation.
 */
export async function npm(folder: string, ...args: string[]): Promise<void> {
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
  await promisify(execFile)('npm', [...args, ...flags], { cwd: folder });
}
