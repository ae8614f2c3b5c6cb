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
 * How the queue's connections read what the server sends, whatever parsers an application has set on `pg` for itself. JSON
 * comes as text of its own accord so: to ask for `::text` copies it twice, half of what it costs to claim a large payload.
 */
export const typeParsers = {
  getTypeParser: (type: number): Parser => PARSERS.get(type) ?? asText,
};
