import type { OnApplicationBootstrap } from '@nestjs/common';
import { Controller, Get, Inject, Req, Res, SetMetadata } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import { HttpAdapterHost } from '@nestjs/core';
import type { UiSettings } from '../core/ui-options.js';
import { moduleLogger } from '../nest/nest-logger.js';
import { CallerResolver } from './caller-resolver.js';
import type { CompleteResponse, HttpRequest, HttpResponse } from './http-adapter.js';
import { RouteOf, toPathname, RegisteredRoutes, send } from './http-adapter.js';
import * as messages from './http.messages.js';
import { UI_FOLDER } from './ui-folder.cjs';
import { readUiFiles, UiFile } from './ui-files.js';

/** The checked options of the admin UI. */
export const UI_SETTINGS = Symbol('nestjs-jobs:ui-settings');

/** Allows no inline code and nothing from other origins. `data:` images are the icons of form controls. */
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

/** Slashes below the root of the UI. No page lies deeper. */
const DEPTH_MAX = 3;

/** A year. */
const IMMUTABLE = 'public, max-age=31536000, immutable';

/** The wildcard of each adapter: Fastify crashes at a named one, Express at an unnamed one. */
const WILDCARDS: Readonly<Record<string, string>> = { express: '{*path}', fastify: '*' };

/**
 * Serves the static files of the admin UI. They hold no data: scripts load it through the API, under its access rules. The
 * page uses relative addresses only, so that it works behind a proxy that rewrites its path.
 */
@Controller()
// Hides the page from @nestjs/swagger, whatever the application's decorators say.
@SetMetadata('swagger/apiExcludeController', [true])
export class JobsUiController implements OnApplicationBootstrap {
  private readonly folder: string | undefined;
  private loaded: ReadonlyMap<string, UiFile> = new Map();
  /** The page for each root address, with a cookie and without. */
  private readonly shells = new Map<string, UiFile>();

  constructor(
    @Inject(RegisteredRoutes) private readonly routes: RegisteredRoutes,
    @Inject(CallerResolver) private readonly callers: CallerResolver,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
    @Inject(UI_SETTINGS) private readonly settings: UiSettings,
  ) {
    this.folder = settings.folder ?? UI_FOLDER;
  }

  /** Sets the wildcard for the application's adapter, before Nest registers the routes. */
  static setWildcard(adapterType: string): void {
    const { file } = JobsUiController.prototype as { readonly file: object };
    Reflect.defineMetadata(PATH_METADATA, ['/', WILDCARDS[adapterType]], file);
  }

  onApplicationBootstrap(): void {
    if (this.folder === undefined && this.routes.findPath('ui') !== undefined) {
      moduleLogger.warn(messages.UI_FILES_MISSING);
    }
  }

  @Get()
  @RouteOf('ui')
  async file(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    await send(response, this.toResponse(request));
  }

  private toResponse(request: HttpRequest): CompleteResponse {
    if (this.files.size === 0) {
      return toTextResponse(503, messages.UI_NOT_BUILT);
    }
    const rootLength = toSegments(this.routes.findPath('ui') ?? this.settings.path).length;
    const below = toPathname(request.url)
      .split('/')
      .slice(1 + rootLength);
    const name = below.join('/').replace(/\/$/, '');
    const file = this.files.get(name);
    if (file && name !== 'index.html') {
      return toFileResponse(file, request, file.isImmutable ? IMMUTABLE : 'no-cache');
    }
    if (name.startsWith('assets/')) {
      // A file of another version: a browser must not read the page as a script.
      return toTextResponse(404, messages.UI_NO_FILE);
    }
    if (below.length > DEPTH_MAX + 1) {
      return toTextResponse(404, messages.UI_NO_PAGE);
    }
    const hasCookie = request.headers.cookie !== undefined;
    return toFileResponse(this.shell(this.rootFrom(below.length), hasCookie), request, 'no-cache');
  }

  private get files(): ReadonlyMap<string, UiFile> {
    if (this.loaded.size === 0 && this.folder !== undefined) {
      this.loaded = readUiFiles(this.folder);
    }
    return this.loaded;
  }

  /** Returns the relative address of the UI's root, with a slash at its end, from a page at this depth below it. */
  private rootFrom(segments: number): string {
    return segments === 0 ? `./${toSegments(this.settings.path).at(-1)!}/` : '../'.repeat(segments - 1) || './';
  }

  private shell(root: string, hasCookie: boolean): UiFile {
    const key = `${root} ${hasCookie}`;
    const cached = this.shells.get(key);
    if (cached) {
      return cached;
    }
    const { title = '', environment, links = [] } = this.settings;
    const contents = {
      'jobs-api': root + this.apiFromRoot(),
      'jobs-auth': this.callers.authMode,
      'jobs-sign-in': this.settings.signIn ?? '',
      'jobs-cookie': hasCookie ? 'yes' : 'no',
      'jobs-title': title,
      'jobs-environment': environment?.name ?? '',
      'jobs-color': environment?.color ?? '',
      'jobs-links': JSON.stringify(links),
    };
    const template = this.files.get('index.html')!.body.toString('utf8').replaceAll('"./', `"${root}`);
    const page = Object.entries(contents).reduce((html, [name, content]) => setMeta(html, name, content), template);
    const tabTitle = [environment?.name, 'Jobs', title].filter(Boolean).join(' · ');
    const titled = page.replace(/<title>.*<\/title>/, () => `<title>${escapeHtml(tabTitle)}</title>`);
    const shell = new UiFile('index.html', Buffer.from(titled, 'utf8'));
    this.shells.set(key, shell);
    return shell;
  }

  /** Returns the relative address of the API from the UI's root. A global prefix may exclude one of the two. */
  private apiFromRoot(): string {
    const [ui, api] = [toSegments(this.routes.findPath('ui')), toSegments(this.routes.findPath('api'))];
    const common = ui.findIndex((part, index) => part !== api[index]);
    const shared = common < 0 ? ui.length : common;
    return '../'.repeat(ui.length - shared) + api.slice(shared).join('/');
  }
}

/** Sets the content of the page's `<meta>` element with this name. */
function setMeta(page: string, name: string, content: string): string {
  const escaped = escapeHtml(content);
  return page.replace(new RegExp(`(name="${name}" content=)"[^"]*"`), (_, start: string) => `${start}"${escaped}"`);
}

function escapeHtml(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}

function toSegments(path = ''): string[] {
  return path.split('/').filter(Boolean);
}

function toFileResponse(file: UiFile, { headers: requested }: HttpRequest, caching: string): CompleteResponse {
  const headers = {
    ...HEADERS,
    'Content-Type': file.type,
    'Cache-Control': caching,
    ETag: file.etag,
    Vary: file.isImmutable ? 'Accept-Encoding' : 'Accept-Encoding, Cookie',
  };
  if (requested['if-none-match']?.includes(file.etag)) {
    return { status: 304, headers, body: undefined };
  }
  const acceptsGzip = /\bgzip\b(?!\s*;\s*q=0(\.0*)?(\s|,|$))/.test(String(requested['accept-encoding'] ?? ''));
  return acceptsGzip
    ? { status: 200, headers: { ...headers, 'Content-Encoding': 'gzip' }, body: file.gzipped }
    : { status: 200, headers, body: file.body };
}

function toTextResponse(status: number, text: string): CompleteResponse {
  const type = { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' };
  return { status, headers: { ...HEADERS, ...type }, body: Buffer.from(`${text}\n`, 'utf8') };
}
