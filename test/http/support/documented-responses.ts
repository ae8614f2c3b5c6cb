import type { AnySchema, ValidateFunction } from 'ajv/dist/2020.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { FormatsPlugin } from 'ajv-formats';
import addFormats from 'ajv-formats';
import type { ApiResponse } from './api-caller.js';
import type { OpenStream } from './open-stream.js';

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: AnySchema }> }>;
}

/** The parts of an OpenAPI document that the tests read. */
export type OpenApi = { paths: Record<string, Record<string, Operation>> } & Record<string, unknown>;

/** Checks responses against an OpenAPI document. */
export class DocumentedResponses {
  /** The differences found so far. */
  readonly problems: string[] = [];
  private readonly ajv = new Ajv2020({ strict: false, allErrors: true });
  private readonly seen = new Set<string>();

  constructor(
    private readonly document: OpenApi,
    private readonly basePath: string,
  ) {
    (addFormats as unknown as { default: FormatsPlugin }).default(this.ajv);
    void this.ajv.addSchema(document, 'document');
  }

  /**
   * Checks a response against what the document says about a status and a path, given without the base path.
   *
   * @param of the method, where several methods of the path return that status.
   */
  async check<T>(status: number, path: string, pending: Promise<ApiResponse<T>>, of = ''): Promise<ApiResponse<T>> {
    const response = await pending;
    const [method, operation] =
      this.operationsAt(path).find(([each, { responses }]) => responses[status] && (of === '' || of === each)) ?? [];
    const name = `${method} ${path} ${status}`;
    this.seen.add(name);
    const content = operation?.responses[status]!.content;
    if (response.status !== status || !operation) {
      this.problems.push(`${name}: got ${response.status} ${response.text}`);
    } else if (content) {
      this.validate(name, this.compile(content['application/json']!.schema), response.body);
    } else if (response.text !== '') {
      this.problems.push(`${name}: got ${response.text}`);
    }
    return response;
  }

  /** Checks the first statistics of a stream, and closes it. */
  async checkStream(stream: OpenStream): Promise<void> {
    const { data } = await stream.event('stats');
    this.validate('get /stream 200', this.schema('JobStats'), data);
    const documented = Object.keys(this.operationsAt('/stream')[0]![1].responses['200']!.content!);
    if (!documented.some((type) => stream.type.startsWith(type))) {
      this.problems.push(`get /stream 200: is of type ${stream.type}`);
    }
    this.seen.add('get /stream 200');
    stream.close();
  }

  /** Returns the validator of a named schema. */
  schema(name: string): ValidateFunction {
    return this.compile({ $ref: `#/components/schemas/${name}` });
  }

  /** Returns the documented successes that no test has received. */
  missing(): string[] {
    const documented = Object.entries(this.document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, { responses }]) =>
        Object.keys(responses)
          .filter((status) => status.startsWith('2'))
          .map((status) => `${method} ${path.replace(this.basePath, '')} ${status}`),
      ),
    );
    return documented.filter((each) => !this.seen.has(each));
  }

  private validate(name: string, isValid: ValidateFunction, value: unknown): void {
    if (!isValid(value)) {
      this.problems.push(`${name}: ${this.ajv.errorsText(isValid.errors)}`);
    }
  }

  private operationsAt(path: string): [string, Operation][] {
    return Object.entries(this.document.paths[this.basePath + path]!);
  }

  /** Compiles a schema. Its references become absolute first. */
  private compile(schema: AnySchema): ValidateFunction {
    return this.ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as AnySchema);
  }
}
