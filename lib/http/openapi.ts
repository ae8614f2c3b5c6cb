import type { JsonSchema } from '../core/option-checks.js';
import { VERSION } from '../core/version.js';
import { toWireName } from '../core/wire-name.js';
import type { Field, FieldTable } from './request-fields.js';
import { BULK_FILTER, ENQUEUE, NEW_JOB } from './requests.js';
import type { DescribedRoute } from './route-info.js';
import { ref, SCHEMAS, UUID } from './schemas.js';

/** A document of OpenAPI 3.1. */
interface OpenApiDocument {
  readonly openapi: string;
  readonly info: object;
  readonly paths: Readonly<Record<string, object>>;
  readonly components: object;
}

/** Errors of every route. */
const COMMON_ERRORS = [400, 401, 403, 500, 503];
/** Further errors of every route with a body. */
const BODY_ERRORS = [408, 413, 415];

const ERROR_MEANINGS: Readonly<Record<number, string>> = {
  400: 'The request is wrong; `data` says what is wrong with each field',
  401: 'Credentials are missing or wrong',
  403: 'Not allowed',
  404: 'There is no such job, schedule or group',
  409: 'The status of the job does not allow this, the code of a process declares the schedule, or the database rejects it',
  408: 'The body was not complete in time',
  413: 'The payload, or the body as a whole, is too large',
  415: 'The type of the body is not JSON',
  422: 'Another request has used the idempotency key',
  500: 'Something went wrong; the log of the application says what',
  503: 'The database is not available, or an open transaction holds what the request needs',
};

/** Describes routes below a base path. */
export function toOpenApi(routes: readonly DescribedRoute[], basePath: string): OpenApiDocument {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = basePath + route.path.replace(/:(\w+)/, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: toOperation(route) };
  }
  const bodies = routes.flatMap(({ body }) => (body?.name ? [[body.name, toSchema(body.fields)] as const] : []));
  return {
    openapi: '3.1.0',
    info: {
      title: 'nestjs-jobs',
      version: VERSION,
      description: 'A background job queue. Names are snake_case; times are ISO 8601 in UTC with milliseconds.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    paths,
    components: {
      schemas: {
        ...SCHEMAS,
        ...Object.fromEntries(bodies),
        EnqueueRequest: toSchema(ENQUEUE),
        NewJobRequest: toSchema(NEW_JOB),
        BulkFilter: toSchema(BULK_FILTER),
      },
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'The admin token, or the credentials that the application accepts',
        },
      },
    },
  };
}

function toOperation(route: DescribedRoute): object {
  const { method, path, summary, body, access } = route;
  return {
    operationId: toOperationId(method, path),
    summary,
    tags: ['jobs'],
    security: [{ token: [] }],
    description:
      access === 'any' ? 'Requires any permission, or a known caller' : `Requires the permission to ${access}`,
    parameters: toParameters(route),
    ...(body && {
      requestBody: {
        required: !body.isOptional,
        content: { 'application/json': { schema: body.name ? ref(body.name) : toSchema(body.fields) } },
      },
    }),
    responses: toResponses(route),
  };
}

function toParameters({ path, query = {}, isIdempotent }: DescribedRoute): object[] {
  const [, parameter] = /:(\w+)/.exec(path) ?? [];
  const schema = parameter === 'id' ? UUID : { type: 'string' };
  const inPath = parameter ? [{ name: parameter, in: 'path', required: true, schema }] : [];
  const inQuery = Object.entries(query).map(([name, field]) => ({
    name: toWireName(name),
    in: 'query',
    description: toDescription(field),
    schema: field.schema,
    ...(field.isRepeatable && { style: 'form', explode: true }),
  }));
  const header = {
    name: 'Idempotency-Key',
    in: 'header',
    description: 'The same key and body return the same job for 24 hours',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
  };
  return [...inPath, ...inQuery, ...(isIdempotent ? [header] : [])];
}

function toResponses({ responses, errors = [], body, isIdempotent }: DescribedRoute): object {
  const successes = Object.entries(responses).map(([status, { meaning, schema, type = 'application/json' }]) => [
    status,
    {
      description: meaning,
      ...(isIdempotent && { headers: LOCATION }),
      ...(schema && { content: Object.fromEntries([type].flat().map((each) => [each, { schema }])) }),
    },
  ]);
  const failures = [...COMMON_ERRORS, ...(body ? BODY_ERRORS : []), ...errors].map((status) => [
    String(status),
    {
      description: ERROR_MEANINGS[status],
      ...(status === 503 && { headers: { 'Retry-After': { schema: { type: 'integer' } } } }),
      content: { 'application/json': { schema: ref('ApiError') } },
    },
  ]);
  return Object.fromEntries([...successes, ...failures]) as object;
}

const LOCATION = { Location: { description: 'Path of the job', schema: { type: 'string' } } };

/** Such as `getStats`, `postEnqueueMany`, `deleteById`. */
function toOperationId(method: string, path: string): string {
  const words = path
    .replace(/:(\w+)/, 'by-$1')
    .replace('.json', '')
    .split(/[/-]/)
    .filter(Boolean);
  const name = words.length > 0 ? words : ['list'];
  return method.toLowerCase() + name.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('');
}

/** An object with these fields and no others. */
function toSchema(fields: FieldTable): JsonSchema {
  const properties = Object.entries(fields).flatMap(([name, field]) => {
    const property = { ...field.schema, description: toDescription(field) };
    const wireName = toWireName(name);
    const alias = { ...field.schema, description: `Another spelling of ${wireName}` };
    return [[wireName, property], ...(field.acceptsCamelCase ? [[name, alias]] : [])];
  });
  const required = Object.keys(fields).filter((name) => fields[name]!.isRequired);
  return {
    type: 'object',
    properties: Object.fromEntries(properties) as object,
    ...(required.length > 0 && { required: required.map(toWireName) }),
    additionalProperties: false,
  };
}

/** Core's meaning of the option, with the names that requests use. */
function toDescription({ meaning, schema: { description } }: Field): string {
  const text = meaning.replace(/\b[a-z]+(?:[A-Z][a-z]+)+\b/g, toWireName);
  const sentence = text[0]!.toUpperCase() + text.slice(1);
  return typeof description === 'string' ? `${sentence}. ${description}` : sentence;
}
