import { DATA_FOLDER } from './settings.js';
import type { Settings } from './settings.js';

/** Says where things are and what to try. */
export function printIntroduction({ port, databaseUrl, adminToken, isTokenGiven }: Settings): void {
  const url = `http://localhost:${port}/orders`;
  const token = isTokenGiven ? 'from JOBS_ADMIN_TOKEN' : `${adminToken} (made up for this run)`;
  console.log(`
A shop with background jobs, on ${databaseUrl ? nameOf(databaseUrl) : `the SQLite file ${DATA_FOLDER}/shop.sqlite`}
Orders:       ${url}
Mails:        ${DATA_FOLDER}/outbox
Admin token:  ${token}; for the HTTP API and admin UI of a later release

Place another order:
  curl ${url} -H 'content-type: application/json' -d '{"email":"you@example.org","item":"honey","amount":700}'
Pay it before its reminder is due:
  curl -X POST ${url}/1/payment
Stop with Ctrl-C.
`);
}

/** Without the password. */
function nameOf(databaseUrl: string): string {
  if (!databaseUrl.startsWith('postgres')) {
    return `the SQLite file ${databaseUrl}`;
  }
  const { host, pathname } = new URL(databaseUrl);
  return `PostgreSQL at ${host}${pathname}`;
}
