import { DATA_FOLDER } from './settings.js';
import type { Settings } from './settings.js';

/** Prints the app's URLs and some requests to try. */
export function printIntroduction({ port, databaseUrl, adminToken, isTokenGiven }: Settings): void {
  const origin = `http://localhost:${port}`;
  const url = `${origin}/orders`;
  const token = isTokenGiven ? 'from JOBS_ADMIN_TOKEN' : `${adminToken} (made up for this run)`;
  const shownToken = isTokenGiven ? '$JOBS_ADMIN_TOKEN' : adminToken;
  console.log(`
A shop with background jobs, on ${databaseUrl ? describeDatabase(databaseUrl) : `the SQLite file ${DATA_FOLDER}/shop.sqlite`}
Orders:       ${url}
Mails:        ${DATA_FOLDER}/outbox
Digest:       every minute, by the schedule 'digest'
Admin UI:     ${origin}/admin/jobs
Jobs API:     ${origin}/api/jobs
Admin token:  ${token}

Place another order:
  curl ${url} -H 'content-type: application/json' -d '{"email":"you@example.org","item":"honey","amount":700}'
Pay it, with the id of its response. The shop then ships it and mails the invoice:
  curl -X POST ${url}/5/payment
See why one order is not shipped:
  ${origin}/admin/jobs/errors
Ask how the jobs are doing:
  curl ${origin}/api/jobs/stats -H "Authorization: Bearer ${shownToken}"
Stop with Ctrl-C.
`);
}

/** Names the database without its password. */
function describeDatabase(databaseUrl: string): string {
  if (!databaseUrl.startsWith('postgres')) {
    return `the SQLite file ${databaseUrl}`;
  }
  const { host, pathname } = new URL(databaseUrl);
  return `PostgreSQL at ${host}${pathname}`;
}
