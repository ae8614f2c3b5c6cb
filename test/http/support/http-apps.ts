import type { Server } from 'node:http';
import { Apps } from '../../nest/support/apps.js';
import type { AppParts } from '../../nest/support/apps.js';
import type { DatabaseKind } from '../../nest/support/database-kinds.js';
import { postgres, sqliteFile } from '../../nest/support/database-kinds.js';
import type { TestApp } from '../../nest/support/test-app.js';
import type { AdapterKind } from './adapters.js';
import { everyAdapter } from './adapters.js';
import { ApiCaller } from './api-caller.js';

/** The token of administrators in all of these tests, unless a test says otherwise. */
export const ADMIN_TOKEN = 'a-token-for-tests';

/** Each adapter with each database. */
export const everyPlace = everyAdapter.flatMap((adapter) =>
  [postgres, sqliteFile].map((kind) => ({ ...adapter, adapterKind: adapter, kind, database: kind.label })),
);

/** An application that listens, and the means to talk to it. */
export interface HttpApp extends TestApp {
  /** Where it listens, without a slash behind. */
  readonly url: string;
  /** Requests to the API as an administrator. */
  readonly api: ApiCaller;
}

/** Parts of an application that answers over HTTP. */
export interface HttpAppParts extends AppParts {
  /** Does what an application does in `main.ts` before it starts. */
  before?: (app: TestApp['app']) => unknown;
}

/** Applications over HTTP on fresh databases. */
export class HttpApps extends Apps {
  constructor(
    kind: DatabaseKind,
    readonly adapterKind: AdapterKind,
  ) {
    super(kind);
  }

  /** An application that listens; its administrators have {@link ADMIN_TOKEN}. */
  async listen({ before, ...parts }: HttpAppParts = {}): Promise<HttpApp> {
    const options = { http: { adminToken: ADMIN_TOKEN }, ...parts.options };
    const test = await this.create({ adapter: this.adapterKind.create(), ...parts, options });
    await before?.(test.app);
    await test.app.listen(0, '127.0.0.1');
    // A `fetch` that was given up in the middle connects anew, and keeps that connection for later.
    this.afterwards(async () => (test.app.getHttpServer() as Server).closeAllConnections());
    const url = (await test.app.getUrl()).replace(/\/$/, '');
    return Object.assign(test, { url, api: new ApiCaller(`${url}/api/jobs`, ADMIN_TOKEN) });
  }
}

/** A fresh database for each test of the surrounding `describe`. */
export function useHttpApps(kind: DatabaseKind, adapterKind: AdapterKind): HttpApps {
  const apps = new HttpApps(kind, adapterKind);
  beforeEach(() => apps.open());
  afterEach(() => apps.close());
  return apps;
}

/** One application for all tests of the surrounding `describe`. */
export function useOneHttpApp(kind: DatabaseKind, adapterKind: AdapterKind, parts: HttpAppParts = {}): () => HttpApp {
  const apps = new HttpApps(kind, adapterKind);
  let app: HttpApp;
  beforeAll(async () => {
    await apps.open();
    app = await apps.listen(parts);
  });
  afterAll(() => apps.close());
  return () => app;
}
