import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * Runs npm in a folder from the cache and without scripts of packages: the native addon comes from the repository's own
 * installation.
 */
export async function npm(folder: string, ...args: string[]): Promise<void> {
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
  await promisify(execFile)('npm', [...args, ...flags], { cwd: folder });
}
