import { express, fastify } from '../../http/support/adapters.js';
import { postgres, sqliteFile } from '../../nest/support/database-kinds.js';

export { ADMIN_TOKEN } from '../../http/support/http-apps.js';

/** Each database and each adapter, once. */
export const places = [
  { database: postgres.label, kind: postgres, ...express, adapterKind: express },
  { database: sqliteFile.label, kind: sqliteFile, ...fastify, adapterKind: fastify },
];

/** For what is the browser's alone: the routes behind it are tested on each database and adapter. */
export const onePlace = places.slice(0, 1);
