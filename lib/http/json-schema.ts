/** JSON Schema of the draft 2020-12, as OpenAPI 3.1 takes it. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

/** The same, or `null`. */
export function orNull(schema: JsonSchema): JsonSchema {
  return typeof schema.type === 'string'
    ? { ...schema, type: [schema.type, 'null'] }
    : { anyOf: [schema, { type: 'null' }] };
}

export const TIME: JsonSchema = { type: 'string', format: 'date-time' };
export const UUID: JsonSchema = { type: 'string', format: 'uuid' };
export const ERROR_KEY: JsonSchema = { type: 'string', pattern: '^[0-9a-f]{32}$' };
export const TEXT: JsonSchema = { type: 'string' };
export const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
export const NUMBER: JsonSchema = { type: 'number', minimum: 0 };
export const FLAG: JsonSchema = { type: 'boolean' };

/** A list of one kind. */
export function listOfSchema(items: JsonSchema, more: JsonSchema = {}): JsonSchema {
  return { type: 'array', items, ...more };
}

/** An object with all of these members and no others, but for those named in `optional`. */
export function objectSchema(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}

/** A schema that stands among the components of the document. */
export function ref(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}
