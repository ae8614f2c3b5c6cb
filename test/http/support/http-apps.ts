import type { Server } from 'node:http';
import { Apps } from '../../nest/support/apps.js';
import type { AppParts } from '../../nest/support/apps.js';
import type { DatabaseKind } from '../../nest/support/database-kinds.js';
import { postgres, sqliteFile } from '../../nest/support/database-kinds.js';
import type { TestApp } from '../../nest/support/test-app.js';
import type { AdapterKind } from './adapters.js';
import { everyAdapter } from './adapters.js';
import { ApiCaller } from './api-caller.js';

/** The admin token of these applications. A test may set another one. */
export const ADMIN_TOKEN = 'a-token-for-tests';

/** Each adapter with each database. */
export const everyPlace = everyAdapter.flatMap((adapter) =>
  [postgres, sqliteFile].map((kind) => ({ ...adapter, adapterKind: adapter, kind, database: kind.label })),
);

/** An application that listens. */
export interface HttpApp extends TestApp {
  /** Its origin, without a slash at the end. */
  readonly url: string;
  /** Sends requests to the API as an administrator. */
  readonly api: ApiCaller;
}

/** The parts of a test application that listens. */
export interface HttpAppParts extends AppParts {
  /** Configures the application before it listens, as `main.ts` does. */
  before?: (app: TestApp['app']) => unknown;
}

/** Creates applications that listen, on fresh databases. */
export class HttpApps extends Apps {
  constructor(
    kind: DatabaseKind,
    readonly adapterKind: AdapterKind,
  ) {
    super(kind);
  }

  /** Starts an application with {@link ADMIN_TOKEN}, and listens on a free port. */
  async listen({ before, ...parts }: HttpAppParts = {}): Promise<HttpApp> {
    const options = { http: { adminToken: ADMIN_TOKEN }, ...parts.options };
    const test = await this.create({ adapter: this.adapterKind.create(), ...parts, options });
    await before?.(test.app);
    await test.app.listen(0, '127.0.0.1');
    // An aborted `fetch` opens a new connection and keeps it open, which would delay the shutdown.
    this.afterwards(async () => (test.app.getHttpServer() as Server).closeAllConnections());
    const url = (await test.app.getUrl()).replace(/\/$/, '');
    return Object.assign(test, { url, api: new ApiCaller(`${url}/api/jobs`, ADMIN_TOKEN) });
  }
}

/** Creates a fresh database for each test of the `describe`. */
export function useHttpApps(kind: DatabaseKind, adapterKind: AdapterKind): HttpApps {
  const apps = new HttpApps(kind, adapterKind);
  beforeEach(() => apps.open());
  afterEach(() => apps.close());
  return apps;
}

/** Starts one application for all tests of the `describe`. */
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
