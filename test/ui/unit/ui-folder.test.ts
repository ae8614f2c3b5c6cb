import { readFileSync } from 'node:fs';
import path from 'node:path';
import { join } from 'node:path';

const SOURCE = readFileSync(join(__dirname, '../../../lib/http/ui-folder.cjs'), 'utf8');

/** Runs the source file as if it were in this folder. */
function findFolderFrom(dirname: string | undefined, paths = path.posix): string | undefined {
  const module = { exports: {} as { UI_FOLDER?: string } };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- sets __dirname
  const run = new Function('__dirname', 'require', 'exports', SOURCE) as (...parts: unknown[]) => void;
  run(dirname, () => paths, module.exports);
  return module.exports.UI_FOLDER;
}

describe('the folder of the admin UI', () => {
  it.each(['dist/cjs/', 'dist/esm/', ''])('is found in the package with code in %plib/http', (build) => {
    expect(findFolderFrom(`/srv/node_modules/nestjs-jobs/${build}lib/http`)).toBe(
      '/srv/node_modules/nestjs-jobs/dist/ui',
    );
    const windows = `C:\\app\\node_modules\\nestjs-jobs\\${build.replaceAll('/', '\\')}lib\\http`;
    expect(findFolderFrom(windows, path.win32)).toBe('C:\\app\\node_modules\\nestjs-jobs\\dist\\ui');
  });

  it.each([undefined, '/app/dist', '/app/dist/server', '/'])('is not found in a bundle in %p', (dirname) => {
    expect(findFolderFrom(dirname)).toBeUndefined();
  });
});
