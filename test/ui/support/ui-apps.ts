import { express, fastify } from '../../http/support/adapters.js';
import { postgres, sqliteFile } from '../../nest/support/database-kinds.js';

export { ADMIN_TOKEN } from '../../http/support/http-apps.js';

const onPostgres = { database: postgres.label, kind: postgres, ...express, adapterKind: express };
const onSqlite = { database: sqliteFile.label, kind: sqliteFile, ...fastify, adapterKind: fastify };

/** Each database and each adapter, once. */
export const places = [onPostgres, onSqlite];

/** For what is the browser's alone: the routes behind it are tested on each adapter. */
export const onePlace = [onPostgres];

/** The same, where the other one has its turn: Fastify refuses more of what a page may send. */
export const otherPlace = [onSqlite];
