// Writes docs/reference/ from the code: the options from their docstrings, the routes from the OpenAPI document. With --check it writes
// nothing, and fails if a page differs from the code.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { API_CONTROLLERS } from '../lib/http/jobs-discovery.controller.js';
import { JobsMetricsController } from '../lib/http/jobs-metrics.controller.js';
import { toOpenApi } from '../lib/http/openapi.js';
import type { DescribedRoute } from '../lib/http/route-info.js';
import { describeRoutes } from '../lib/http/route-info.js';

const ROOT = join(__dirname, '..');
const FOLDER = join(ROOT, 'docs/reference');
const NOTE = 'This page is written by `npm run docs:reference` from the code.';

const pages = { 'options.md': optionsPage(), 'http.md': httpPage() };
const stale = Object.entries(pages).filter(([name, text]) => readPage(name) !== text);

if (process.argv.includes('--check')) {
  for (const [name] of stale) {
    console.error(`docs/reference/${name} differs from the code; run npm run docs:reference`);
  }
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  for (const [name, text] of stale) {
    writeFileSync(join(FOLDER, name), text);
    console.log(relative(ROOT, join(FOLDER, name)));
  }
}

function readPage(name: string): string | undefined {
  const path = join(FOLDER, name);
  return ts.sys.fileExists(path) ? readFileSync(path, 'utf8') : undefined;
}

/* Options */

interface Member {
  readonly name: string;
  readonly type: string;
  readonly text: string;
}

function optionsPage(): string {
  const files = ['options', 'http-options', 'ui-options', 'telemetry-option', 'job-options', 'job', 'schedule'];
  const interfaces = new Map(
    [...files.map((name) => `lib/core/${name}.ts`), 'lib/nest/async-options.ts'].flatMap(readInterfaces),
  );
  const membersOf = (name: string): readonly Member[] => interfaces.get(name)!;
  /** The members of an option that is an object stand below it, with its name before theirs. */
  const expand = (member: Member): Member[] => {
    const [part] = /\b(Sqlite|Logs|Event|Telemetry|Http|Ui)Options\b/.exec(member.type) ?? [];
    if (part === undefined) return [member];
    return [member, ...membersOf(part).map((each) => ({ ...each, name: `${member.name}.${each.name}` }))];
  };
  const moduleOptions = [...membersOf('JobsOptions').flatMap(expand), ...membersOf('VisibilityOptions')];
  return page([
    '# Options',
    `${NOTE} Durations are milliseconds, or text such as \`'250ms'\`, \`'30s'\`, \`'10m'\`, \`'1h'\`, \`'7d'\`.`,
    '## Module',
    'Options of `JobsModule.forRoot()`. [Configuration](../guide/configuration.md) says how to pass them.',
    optionTable(moduleOptions),
    '## Enqueue',
    'Options of `jobs.enqueue()` and of each job of `jobs.enqueueMany()`: see [Enqueueing](../guide/enqueueing.md).',
    optionTable(membersOf('EnqueueOptions')),
    '## Handlers',
    'Options of `@JobHandler()` and `jobs.register()`: see [Handlers](../guide/handlers.md). `defineJob()` takes all but `batch`.',
    optionTable([...membersOf('TopicJobOptions'), ...membersOf('JobHandlerOptions')]),
    '## Schedules',
    'Options of `@JobSchedule()` and `jobs.schedules.upsert()`: see [Schedules](../guide/schedules.md).',
    optionTable(membersOf('ScheduleOptions')),
  ]);
}

function optionTable(members: readonly Member[]): string {
  const rows = members.map(({ name, type, text }) => {
    if (text === '') throw new Error(`the option ${name} has no docstring`);
    return [`\`${name}\``, `\`${type}\``, text];
  });
  return table(['option', 'type', 'meaning'], rows);
}

function readInterfaces(path: string): [string, Member[]][] {
  const file = ts.createSourceFile(path, readFileSync(join(ROOT, path), 'utf8'), ts.ScriptTarget.Latest, true);
  return file.statements.filter(ts.isInterfaceDeclaration).map((statement) => {
    const members = statement.members.filter(ts.isPropertySignature).map((member) => ({
      name: member.name.getText(file),
      type: describeType(member.type?.getText(file) ?? ''),
      text: describe(member),
    }));
    return [statement.name.text, members];
  });
}

function describeType(text: string): string {
  const type = text.replace(/\s+/g, ' ').replace(/^\| /, '').replaceAll(' | undefined', '').replaceAll(' | ', ', ');
  return type.replace(/^readonly (\w+)\[\]$/, '$1[]');
}

/** The docstring as it is written: TypeScript would read the name of a package as a tag. */
function describe(member: ts.PropertySignature): string {
  const [comment] = ts.getJSDocCommentsAndTags(member);
  const text = comment?.getText().replace(/^\/\*\*|\*\/$|^ *\* ?(?!\/)/gm, '') ?? '';
  return inline(text.replace(/\{@link (\w+)\}/g, '`$1`'));
}

/* Routes */

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly const?: unknown;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly default?: number;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
}

function httpPage(): string {
  const routes = describeRoutes([...API_CONTROLLERS, JobsMetricsController]);
  const { components } = toOpenApi(routes, '') as unknown as { components: { schemas: Record<string, Schema> } };
  return page([
    '# HTTP reference',
    `${NOTE} [The HTTP API](../http-api.md) explains the routes with examples. The paths are below \`/api/jobs\` (option \`http.path\`).`,
    "Every route can also respond with 400, 401, 403, 500 and 503, and every route with a body with 408, 413 and 415. Durations are milliseconds, or text such as '30s' and '7d'.",
    '## Routes',
    table(
      ['route', 'does', 'permission'],
      routes.map(({ method, path, summary, access }) => [`\`${method} ${path || '/'}\``, summary, access]),
    ),
    ...routes.flatMap(describeRoute),
    '## Objects',
    'An object in brackets after a name in the column *type* has its own table here.',
    ...Object.entries(components.schemas).flatMap(([name, schema]) => [
      `### ${name}`,
      schema.properties ? memberTable(schema, name.endsWith('Request')) : `${typeOf(schema)}.`,
    ]),
  ]);
}

function describeRoute({
  method,
  path,
  query = {},
  body,
  responses,
  errors = [],
  isIdempotent,
}: DescribedRoute): string[] {
  const document = toOpenApi([{ method, path, query, body, responses, errors, isIdempotent } as DescribedRoute], '');
  const operation = (Object.values(document.paths)[0] as Record<string, Operation>)[method.toLowerCase()]!;
  const parameters = operation.parameters.filter(({ in: place }) => place !== 'path');
  const schema = operation.requestBody?.content['application/json'].schema;
  const name = typeof schema?.$ref === 'string' ? nameOf(schema.$ref) : undefined;
  const meanings = Object.entries(responses).map(([status, { meaning }]) => [status, meaning]);
  return [
    `### ${method} ${path || '/'}`,
    ...(parameters.length > 0
      ? [
          table(
            ['parameter', 'type', 'meaning'],
            parameters.map((each) => [`\`${each.name}\``, typeOf(each.schema), inline(each.description)]),
          ),
        ]
      : []),
    ...(name === undefined ? [] : [`The body is a [${name}](#${name.toLowerCase()}).`]),
    ...(Object.keys(schema?.properties ?? {}).length === 0 ? [] : [memberTable(schema!, true)]),
    table(
      ['status', 'response'],
      [
        ...meanings.map(([status = '', meaning = '']) => [status, inline(meaning)]),
        ...errors.map((status) => [String(status), describeError(operation, status)]),
      ],
    ),
  ];
}

interface Operation {
  readonly parameters: readonly {
    readonly name: string;
    readonly in: string;
    readonly description: string;
    readonly schema: Schema;
  }[];
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Schema } } };
  readonly responses: Readonly<Record<number, { readonly description: string }>>;
}

function describeError({ responses }: Operation, status: number): string {
  return inline(responses[status]!.description);
}

function memberTable({ properties = {}, required = [] }: Schema, isRequest: boolean): string {
  const rows = Object.entries(properties)
    .filter(([, { description = '' }]) => !description.startsWith('Another spelling'))
    .map(([name, property]) => {
      const prefix = isRequest && required.includes(name) ? 'Required. ' : '';
      return [`\`${name}\``, typeOf(property), inline(prefix + (property.description ?? ''))];
    });
  return table([isRequest ? 'field' : 'member', 'type', 'meaning'], rows);
}

/** A schema in a few words, such as `integer, 1 to 100, default 20`. */
function typeOf(schema: Schema): string {
  const { $ref, type = 'any JSON', items = {}, minimum, maximum, maxLength } = schema;
  if ($ref !== undefined) return `[${nameOf($ref)}](#${nameOf($ref).toLowerCase()})`;
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum) return schema.enum.map((word) => `\`${word}\``).join(', ');
  if (schema.oneOf?.map(({ type: each }) => each).join() === 'number,string') return 'duration';
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices?.length === 2 && choices[1]!.type === 'array' && choices[1]!.items) {
    const member = typeOf(choices[0]!);
    if (member === typeOf(choices[1]!.items)) return `${member}; one or a list`;
  }
  if (choices) return [...new Set(choices.map(typeOf))].join(' or ');
  if (type === 'array') return `list of ${typeOf(items)}`;
  const bounds = minimum !== undefined && maximum !== undefined ? `, ${minimum} to ${maximum}` : '';
  const length = maxLength === undefined ? '' : `, up to ${maxLength} characters`;
  const standard = schema.default === undefined ? '' : `, default ${schema.default}`;
  return `${[type].flat().join(' or ')}${bounds}${length}${standard}`;
}

function nameOf(reference: string): string {
  return reference.split('/').at(-1)!;
}

/* Markdown */

function page(blocks: readonly string[]): string {
  return `${blocks.join('\n\n')}\n`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function inline(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/\. Milliseconds, or text such as .*$/, '')
    .replaceAll('|', '\\|')
    .trim();
}
