import type { OnApplicationBootstrap } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import type { UiSettings } from '../core/http-options.js';
import { moduleLogger } from '../nest/nest-logger.js';
import { Callers } from './callers.js';
import type { HttpAnswer, HttpDoor, HttpExchange } from './http-exchange.js';
import { HttpMount } from './http-mount.js';
import { JOBS_API, UI_SETTINGS } from './http.tokens.js';
import { requestUrl } from './request-url.js';
import { UI_FOLDER } from './ui-folder.cjs';
import { readUiFiles, UiFile } from './ui-files.js';

/**
 * Everything comes from here, and nothing stands in the page itself. `img-src` has `data:` for the icons of form controls;
 * forms are answered by script.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'same-origin',
};

/** No page of the UI lies deeper, a slash at its end included. */
const DEPTH_MAX = 3;
/** Strangers choose the letters of a path, and must not choose how much is kept for it. */
const SHELLS_MAX = 16;

/** A year. */
const IMMUTABLE = 'public, max-age=31536000, immutable';

/**
 * The door of the admin UI. It gives out static files to everybody: what they show comes through the API and its rules. All
 * addresses in the page are relative, so that it works under any path, also under that of a proxy which nobody here knows.
 */
@Injectable()
export class AdminUi implements HttpDoor, OnApplicationBootstrap {
  private readonly folder: string | undefined;
  private known: ReadonlyMap<string, UiFile> = new Map();
  /** The page with the addresses that a path of that depth needs. */
  private readonly shells = new Map<string, UiFile>();

  constructor(
    @Inject(HttpMount) private readonly mount: HttpMount,
    @Inject(JOBS_API) private readonly api: HttpDoor,
    @Inject(Callers) private readonly callers: Callers,
    @Inject(UI_SETTINGS) settings: UiSettings,
  ) {
    this.folder = settings.folder ?? UI_FOLDER;
  }

  onApplicationBootstrap(): void {
    if (this.folder === undefined && this.mount.hasAdapter) {
      moduleLogger.warn(
        'a bundle has no files of the admin UI: name a copy of the folder dist/ui of nestjs-jobs by the option ui.folder; ui: false serves none',
      );
    }
  }

  async answer(exchange: HttpExchange): Promise<void> {
    exchange.send(this.answerTo(exchange));
  }

  private answerTo({ method, path, headers, basePath, request }: HttpExchange): HttpAnswer {
    if (method !== 'GET' && method !== 'HEAD') {
      return plain(405, 'only GET and HEAD', { Allow: 'GET, HEAD' });
    }
    if (this.files.size === 0) {
      return plain(503, 'the admin UI has no files here: it is not built, or the option ui.folder does not name them');
    }
    const name = path.slice(1);
    const file = this.files.get(name);
    if (file && name !== 'index.html') {
      return sent(file, headers, file.isImmutable ? IMMUTABLE : 'no-cache');
    }
    if (name.startsWith('assets/')) {
      // Of another version: the page must not be taken for a script.
      return plain(404, 'there is no such file');
    }
    const root = rootOf(request, path, basePath);
    return root.startsWith('../'.repeat(DEPTH_MAX + 1))
      ? plain(404, 'there is no such page')
      : sent(this.shell(root), headers, 'no-cache');
  }

  private get files(): ReadonlyMap<string, UiFile> {
    if (this.known.size === 0 && this.folder !== undefined) {
      this.known = readUiFiles(this.folder);
    }
    return this.known;
  }

  private shell(root: string): UiFile {
    const made = this.shells.get(root);
    if (made) {
      return made;
    }
    const page = this.files
      .get('index.html')!
      .body.toString('utf8')
      .replaceAll('"./', `"${root}`)
      .replace('content="../../api/jobs"', `content="${root}${this.wayToApi()}"`)
      .replace('name="jobs-way-in" content="token"', `name="jobs-way-in" content="${this.callers.wayIn}"`);
    const shell = new UiFile('index.html', Buffer.from(page, 'utf8'));
    if (this.shells.size < SHELLS_MAX) {
      this.shells.set(root, shell);
    }
    return shell;
  }

  /** From the root of the UI. A global prefix may hold for one of the two only. */
  private wayToApi(): string {
    const [ui, api] = [partsOf(this.mount.pathOf(this)), partsOf(this.mount.pathOf(this.api))];
    const common = ui.findIndex((part, index) => part !== api[index]);
    const shared = common < 0 ? ui.length : common;
    return '../'.repeat(ui.length - shared) + api.slice(shared).join('/');
  }
}

/** The way from a page to the root of the UI, which ends with a slash that the page itself may lack. */
function rootOf(request: object, path: string, basePath: string): string {
  const { originalUrl } = request as { originalUrl: string };
  const hasSlash = requestUrl(originalUrl).pathname.endsWith('/');
  const depth = path.split('/').length - (hasSlash ? 1 : 2);
  return depth < 0 ? `./${encodeURIComponent(basePath.split('/').at(-1)!)}/` : depth === 0 ? './' : '../'.repeat(depth);
}

function partsOf(path = ''): string[] {
  return path.split('/').filter(Boolean);
}

function sent(file: UiFile, asked: HttpExchange['headers'], caching: string): HttpAnswer {
  const headers = {
    ...HEADERS,
    'Content-Type': file.type,
    'Cache-Control': caching,
    ETag: file.etag,
    Vary: 'Accept-Encoding',
  };
  if (asked['if-none-match']?.includes(file.etag)) {
    return { status: 304, headers, body: undefined };
  }
  const takesGzip = /\bgzip\b(?!\s*;\s*q=0(\.0*)?(\s|,|$))/.test(String(asked['accept-encoding'] ?? ''));
  return takesGzip
    ? { status: 200, headers: { ...headers, 'Content-Encoding': 'gzip' }, body: file.gzipped }
    : { status: 200, headers, body: file.body };
}

function plain(status: number, text: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  const type = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' };
  return { status, headers: { ...HEADERS, ...type, ...headers }, body: Buffer.from(`${text}\n`, 'utf8') };
}
