import { express, fastify } from '../../http/support/adapters.js';
import { postgres, sqliteFile } from '../../nest/support/database-kinds.js';

export { ADMIN_TOKEN } from '../../http/support/http-apps.js';

const onPostgres = { database: postgres.label, kind: postgres, ...express, adapterKind: express };
const onSqlite = { database: sqliteFile.label, kind: sqliteFile, ...fastify, adapterKind: fastify };

/** Each database and each adapter, once. */
export const everySetup = [onPostgres, onSqlite];

/** For tests of the browser side: the routes are tested on each adapter. */
export const onlyExpress = [onPostgres];

/** The same on Fastify, which accepts less from a page. */
export const onlyFastify = [onSqlite];
