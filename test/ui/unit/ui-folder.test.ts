import { readFileSync } from 'node:fs';
import path from 'node:path';
import { join } from 'node:path';

const SOURCE = readFileSync(join(__dirname, '../../../lib/http/ui-folder.cjs'), 'utf8');

/** What the file says when it lies there. */
function folderAt(dirname: string | undefined, paths = path.posix): string | undefined {
  const module = { exports: {} as { UI_FOLDER?: string } };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- where a file lies cannot be said to it in another way
  const run = new Function('__dirname', 'require', 'exports', SOURCE) as (...parts: unknown[]) => void;
  run(dirname, () => paths, module.exports);
  return module.exports.UI_FOLDER;
}

describe('the folder of the admin UI', () => {
  it.each(['dist/cjs/', 'dist/esm/', ''])('is that of the package, whose code lies in %plib/http', (build) => {
    expect(folderAt(`/srv/node_modules/nestjs-jobs/${build}lib/http`)).toBe('/srv/node_modules/nestjs-jobs/dist/ui');
    const windows = `C:\\app\\node_modules\\nestjs-jobs\\${build.replaceAll('/', '\\')}lib\\http`;
    expect(folderAt(windows, path.win32)).toBe('C:\\app\\node_modules\\nestjs-jobs\\dist\\ui');
  });

  it.each([undefined, '/app/dist', '/app/dist/server', '/'])('is nowhere in a bundle that lies in %p', (dirname) => {
    expect(folderAt(dirname)).toBeUndefined();
  });
});
