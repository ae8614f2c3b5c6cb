import type { PostgresTypes } from './session-pool.js';

/** Reads one value, sent as text. */
type Parser = (text: string) => unknown;

const asText: Parser = (text) => text;
const asBoolean: Parser = (text) => text === 't';

/** By the number that PostgreSQL gives a type; all others, JSON among them, stay text. */
const PARSERS: ReadonlyMap<number, Parser> = new Map([
  [16, asBoolean], // boolean
  [21, Number], // smallint
  [23, Number], // integer
  [701, Number], // double precision
]);

/**
 * How answers to single statements are read on the queue's own connections, whatever parsers an application has set on `pg`
 * for itself. JSON stays text so: to ask for `::text` copies it twice, a third of what it costs to claim a payload of 5 KB.
 */
export const typeParsers: PostgresTypes = { getTypeParser: (type) => PARSERS.get(type) ?? asText };
