import type { AnySchema, ValidateFunction } from 'ajv/dist/2020.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { FormatsPlugin } from 'ajv-formats';
import addFormats from 'ajv-formats';
import type { Answered } from './api-caller.js';
import type { OpenStream } from './open-stream.js';

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: AnySchema }> }>;
}

/** A document of OpenAPI, as far as a test asks for it. */
export type OpenApi = { paths: Record<string, Record<string, Operation>> } & Record<string, unknown>;

/** Judges answers by a document that describes them. */
export class DocumentedAnswers {
  /** What was wrong with answers so far. */
  readonly complaints: string[] = [];
  private readonly ajv = new Ajv2020({ strict: false, allErrors: true });
  private readonly seen = new Set<string>();

  constructor(
    private readonly document: OpenApi,
    private readonly basePath: string,
  ) {
    (addFormats as unknown as { default: FormatsPlugin }).default(this.ajv);
    void this.ajv.addSchema(document, 'document');
  }

  /** Judges an answer by what the document says of a path, without the base path, and a status. */
  async of<T>(status: number, path: string, asked: Promise<Answered<T>>): Promise<Answered<T>> {
    const answer = await asked;
    const [method, operation] = this.operationsAt(path).find(([, { responses }]) => responses[status]) ?? [];
    const name = `${method} ${path} ${status}`;
    this.seen.add(name);
    const content = operation?.responses[status]!.content;
    if (answer.status !== status || !operation) {
      this.complaints.push(`${name}: answered ${answer.status} ${answer.text}`);
    } else if (content) {
      this.judge(name, this.compiled(content['application/json']!.schema), answer.body);
    } else if (answer.text !== '') {
      this.complaints.push(`${name}: answered ${answer.text}`);
    }
    return answer;
  }

  /** Judges the first statistics of a stream, and closes it. */
  async ofStream(stream: OpenStream): Promise<void> {
    const { data } = await stream.event('stats');
    this.judge('get /stream 200', this.schema('JobStats'), data);
    const documented = Object.keys(this.operationsAt('/stream')[0]![1].responses['200']!.content!);
    if (!documented.some((type) => stream.type.startsWith(type))) {
      this.complaints.push(`get /stream 200: is of type ${stream.type}`);
    }
    this.seen.add('get /stream 200');
    stream.close();
  }

  /** One of the named schemas. */
  schema(name: string): ValidateFunction {
    return this.compiled({ $ref: `#/components/schemas/${name}` });
  }

  /** Successes that the document promises and that nobody has seen. */
  missing(): string[] {
    const promised = Object.entries(this.document.paths).flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, { responses }]) =>
        Object.keys(responses)
          .filter((status) => status.startsWith('2'))
          .map((status) => `${method} ${path.replace(this.basePath, '')} ${status}`),
      ),
    );
    return promised.filter((each) => !this.seen.has(each));
  }

  private judge(name: string, validate: ValidateFunction, value: unknown): void {
    if (!validate(value)) {
      this.complaints.push(`${name}: ${this.ajv.errorsText(validate.errors)}`);
    }
  }

  private operationsAt(path: string): [string, Operation][] {
    return Object.entries(this.document.paths[this.basePath + path]!);
  }

  /** References made absolute. */
  private compiled(schema: AnySchema): ValidateFunction {
    return this.ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as AnySchema);
  }
}
