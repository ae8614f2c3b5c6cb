import type { ApiRouteDescription } from './api-route.js';
import type { JsonSchema } from './json-schema.js';
import { ref, UUID } from './json-schema.js';
import type { FieldTable } from './request-fields.js';
import { BULK_FILTER, ENQUEUE } from './requests.js';
import { SCHEMAS } from './schemas.js';
import { VERSION } from './version.js';

/** A document of OpenAPI 3.1. */
export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: object;
  readonly paths: Readonly<Record<string, object>>;
  readonly components: object;
}

/** Errors that any route may answer. */
const COMMON_ERRORS = [400, 401, 403, 500, 503];
/** And any that takes a body. */
const BODY_ERRORS = [408, 413, 415];

const ERROR_MEANINGS: Readonly<Record<number, string>> = {
  400: 'The request is wrong; `data` says why, field by field',
  401: 'Credentials are missing or wrong',
  403: 'Not allowed',
  404: 'There is no such job',
  409: 'The job stands in a status that does not allow this, or the database refuses it',
  408: 'The body did not come to an end in time',
  413: 'The payload, or the body as a whole, is too large',
  415: 'The body is no JSON by its type',
  422: 'The idempotency key was used for another request',
  500: 'Something went wrong; the log of the application says what',
  503: 'The database does not serve the queue at present, or an open transaction holds what is needed',
};

/** Describes routes that stand at a base path. */
export function openApiDocument(routes: readonly ApiRouteDescription[], basePath: string): OpenApiDocument {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = basePath + route.path.replace(':id', '{id}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  const bodies = routes.flatMap(({ body }) => (body?.name ? [[body.name, schemaOf(body.fields)] as const] : []));
  return {
    openapi: '3.1.0',
    info: {
      title: 'nestjs-jobs',
      version: VERSION,
      description: 'A background job queue. Names are snake_case, times ISO 8601 in UTC with milliseconds.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    paths,
    components: {
      schemas: {
        ...SCHEMAS,
        ...Object.fromEntries(bodies),
        EnqueueRequest: schemaOf(ENQUEUE),
        BulkFilter: schemaOf(BULK_FILTER),
      },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'The token, or whatever the application takes instead' },
      },
    },
  };
}

function operationOf(route: ApiRouteDescription): object {
  const { method, path, summary, body, access } = route;
  return {
    operationId: operationIdOf(method, path),
    summary,
    tags: ['jobs'],
    security: [{ token: [] }],
    description: access === 'any' ? 'For whoever may do anything here' : `Needs the permission to ${access}`,
    parameters: parametersOf(route),
    ...(body && {
      requestBody: {
        required: !body.isOptional,
        content: { 'application/json': { schema: body.name ? ref(body.name) : schemaOf(body.fields) } },
      },
    }),
    responses: responsesOf(route),
  };
}

function parametersOf({ path, query = {}, isIdempotent }: ApiRouteDescription): object[] {
  const inPath = path.includes(':id') ? [{ name: 'id', in: 'path', required: true, schema: UUID }] : [];
  const inQuery = Object.entries(query).map(([name, { schema, meaning, isRepeatable }]) => ({
    name,
    in: 'query',
    description: meaning,
    schema,
    ...(isRepeatable && { style: 'form', explode: true }),
  }));
  const header = {
    name: 'Idempotency-Key',
    in: 'header',
    description: 'The same key and body give the same job for 24 hours',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  };
  return [...inPath, ...inQuery, ...(isIdempotent ? [header] : [])];
}

function responsesOf({ answers, errors = [], body, isIdempotent }: ApiRouteDescription): object {
  const good = Object.entries(answers).map(([status, { meaning, schema, type = 'application/json' }]) => [
    status,
    {
      description: meaning,
      ...(isIdempotent && { headers: LOCATION }),
      ...(schema && { content: { [type]: { schema } } }),
    },
  ]);
  const bad = [...COMMON_ERRORS, ...(body ? BODY_ERRORS : []), ...errors].map((status) => [
    String(status),
    {
      description: ERROR_MEANINGS[status],
      ...(status === 503 && { headers: { 'Retry-After': { schema: { type: 'integer' } } } }),
      content: { 'application/json': { schema: ref('ApiError') } },
    },
  ]);
  return Object.fromEntries([...good, ...bad]) as object;
}

const LOCATION = { Location: { description: 'Path of the job', schema: { type: 'string' } } };

/** Such as `getStats`, `postEnqueueMany`, `deleteById`. */
function operationIdOf(method: string, path: string): string {
  const words = path.replace(':id', 'by-id').replace('.json', '').split(/[/-]/).filter(Boolean);
  const name = words.length > 0 ? words : ['list'];
  return method.toLowerCase() + name.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
}

/** An object of these fields and no others. */
function schemaOf(fields: FieldTable): JsonSchema {
  const properties = Object.entries(fields).flatMap(([name, { schema, meaning, alias }]) => [
    [name, described(schema, meaning)] as const,
    ...(alias ? [[alias, described(schema, `Another spelling of ${name}`)] as const] : []),
  ]);
  const required = Object.keys(fields).filter((name) => fields[name]!.isRequired);
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}

function described(schema: JsonSchema, meaning: string): JsonSchema {
  const { description } = schema;
  return { ...schema, description: typeof description === 'string' ? `${meaning}. ${description}` : meaning };
}
