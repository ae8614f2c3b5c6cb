import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { gzipSync } from 'node:zlib';

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** One file of the admin UI. */
export class UiFile {
  readonly type: string;
  readonly etag: string;
  /** The file name changes with the content. */
  readonly isImmutable: boolean;
  private compressed: Buffer | undefined;

  constructor(
    name: string,
    readonly body: Buffer,
  ) {
    this.type = TYPES[extname(name)] ?? 'application/octet-stream';
    this.etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    this.isImmutable = name.startsWith('assets/');
  }

  /** Compressed once. */
  get gzipped(): Buffer {
    this.compressed ??= gzipSync(this.body, { level: 9 });
    return this.compressed;
  }
}

/** Only the page of this UI contains it. */
const MARK = 'name="jobs-root"';

/** Reads the admin UI's files, a few hundred KiB, by their names; none from a folder of another application. */
export function readUiFiles(folder: string): ReadonlyMap<string, UiFile> {
  const page = join(folder, 'index.html');
  if (!existsSync(page) || !readFileSync(page).includes(MARK)) {
    return new Map();
  }
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const name = relative(folder, path).replaceAll(sep, '/');
      return [name, new UiFile(name, readFileSync(path))];
    }),
  );
}
