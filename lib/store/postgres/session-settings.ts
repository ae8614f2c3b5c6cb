import { CLAIM, SCAN } from '../jobs/claim.postgres.js';
import {
  COMPLETE,
  COMPLETE_AND_DELETE,
  COMPLETE_AND_DELETE_ONE,
  COMPLETE_ONE,
  SETTLE,
} from '../jobs/settle.postgres.js';
import { CLAIM_LIMITED, LOCK_TOPIC, MARK_KEYED_DUE } from '../limits/limited-claim.postgres.js';
import { INSERT_ALIKE_JOBS, INSERT_JOBS, INSERT_PLAIN_JOB, INSERT_PLAIN_JOBS } from '../jobs/insert.postgres.js';
import { MARK_STARTED, MARK_STARTED_BY_ROW_REF, RENEW } from '../jobs/lease.postgres.js';
import { NOTIFY } from './session.postgres.js';
import type { PostgresQuery, PostgresTypes } from './pool.js';

/*
 * Parsing and planning is most of what a small statement costs the server. So the frequent statements have names
 * (`pg_prepared_statements` shows them), and each connection parses them once and keeps their plans.
 *
 * A plan that was made while the table was empty stays in use when the table holds a million rows a minute later. So a statement
 * may be in this list only if it has one plan for every size of the table: test/conformance/plans/stale-plans.test.ts proves it.
 */
const PREPARED = {
  INSERT_PLAIN_JOB,
  INSERT_ALIKE_JOBS,
  INSERT_PLAIN_JOBS,
  INSERT_JOBS,
  CLAIM,
  SCAN,
  MARK_KEYED_DUE,
  LOCK_TOPIC,
  CLAIM_LIMITED,
  MARK_STARTED_BY_ROW_REF,
  MARK_STARTED,
  RENEW,
  COMPLETE,
  COMPLETE_ONE,
  COMPLETE_AND_DELETE,
  COMPLETE_AND_DELETE_ONE,
  SETTLE,
  NOTIFY,
};

/** The names of prepared statements, by their text. */
export const PREPARED_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries(PREPARED).map(([name, text]) => [text, `nestjs_jobs_${name.toLowerCase()}`]),
);

/** The prepared statements that a busy process sends before the last one returns. */
export const PIPELINED: readonly string[] = [CLAIM, COMPLETE, COMPLETE_AND_DELETE];

/** Builds the query for `pg`: prepared when the statement is frequent, with the queue's own type parsers. */
export function toQuery(text: string, params: readonly unknown[]): PostgresQuery {
  return { name: PREPARED_NAMES.get(text), text, values: [...params], types: typeParsers };
}

/** The same without a name. Inside a transaction a pooler may have lost a prepared statement, and the transaction could not be repeated. */
export function toUnnamedQuery(text: string, params: readonly unknown[]): PostgresQuery {
  return { text, values: [...params], types: typeParsers };
}

type Parser = (text: string) => unknown;

const asText: Parser = (text) => text;
const asBoolean: Parser = (text) => text === 't';

/** Parsers by the type's OID. All other types stay text, JSON among them. */
const PARSERS: ReadonlyMap<number, Parser> = new Map([
  [16, asBoolean], // boolean
  [21, Number], // smallint
  [23, Number], // integer
  [701, Number], // double precision
]);

/**
 * Parses results on the queue's own connections, whatever parsers the application has set on `pg`. JSON arrives as text: a cast to
 * `::text` copies it twice, a third of what it costs to claim a payload of 5 KB.
 */
const typeParsers: PostgresTypes = { getTypeParser: (type) => PARSERS.get(type) ?? asText };
