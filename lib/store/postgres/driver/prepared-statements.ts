import { CLAIM, CLAIM_AS_TEXT, SCAN } from '../sql/claim.js';
import { INSERT_ALIKE_JOBS, INSERT_JOBS, INSERT_PLAIN_JOB, INSERT_PLAIN_JOBS } from '../sql/insert.js';
import { BEGIN_ATTEMPTS, BEGIN_IN_PLACE, RENEW } from '../sql/lease.js';
import { NOTIFY } from '../sql/notification.js';
import { COMPLETE, COMPLETE_AND_REMOVE, COMPLETE_AND_REMOVE_ONE, COMPLETE_ONE, SETTLE } from '../sql/complete.js';

/*
 * Most of what a small statement costs the server is reading and planning it. So those that jobs pass through have names
 * (`pg_prepared_statements` shows them), under which each connection reads them once and keeps their plans.
 *
 * A kept plan may have been made when the table was empty, and the table may hold a million rows a minute later. So a
 * statement may only stand here when it has but one plan, whatever the table holds: test/conformance/plans/prepared-plans.test.ts
 * makes plans on an empty table.
 */
const PREPARED = {
  INSERT_PLAIN_JOB,
  INSERT_ALIKE_JOBS,
  INSERT_PLAIN_JOBS,
  INSERT_JOBS,
  CLAIM,
  CLAIM_AS_TEXT,
  SCAN,
  BEGIN_IN_PLACE,
  BEGIN_ATTEMPTS,
  RENEW,
  COMPLETE,
  COMPLETE_ONE,
  COMPLETE_AND_REMOVE,
  COMPLETE_AND_REMOVE_ONE,
  SETTLE,
  NOTIFY,
};

/** Names of statements, by their text. */
export const PREPARED_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries(PREPARED).map(([name, text]) => [text, `nestjs_jobs_${name.toLowerCase()}`]),
);

/** Of those, what a busy process sends again and again, each time before the last one is answered. */
export const PIPELINED: readonly string[] = [CLAIM, COMPLETE, COMPLETE_AND_REMOVE];
