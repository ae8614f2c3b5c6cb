/** @matrix nest-11 */

import { resolve } from 'node:path';
import ts from 'typescript';

const ROOT = resolve(__dirname, '../..');
const FILE = resolve(ROOT, 'test/nest/of-a-user.ts');

const PROGRAM = `
import type { JobBatch, JobContext, JobsService } from 'nestjs-jobs';
import { defineJob, JobHandler, Payload } from 'nestjs-jobs';
const SendMail = defineJob<{ to: string }, { messageId: string }>('send_mail');
export const calls = (jobs: JobsService) => [
  jobs.enqueue(SendMail, { to: 1 }),
  jobs.enqueueAt(SendMail, { to: 'a', copy: 'b' }, new Date()),
  jobs.enqueueMany([{ topic: SendMail, payload: { to: 1 } }]),
  jobs.enqueue('mail', null, { delay: '5 minutes' }),
];
export class MailJobs {
  @JobHandler('plain') plain(payload: { rows: number }) { return payload.rows; }
  @JobHandler(SendMail) typed(mail: { to: string }) { return { messageId: mail.to }; }
  @JobHandler('single') single(@Payload() mail: Date) { return mail.getTime(); }
  @JobHandler(SendMail) other(job: JobContext<{ from: string }>) { return { messageId: job.payload.from }; }
  @JobHandler('batch', { batch: { size: 10 } }) batch(job: JobContext) { return job.id; }
  @JobHandler('array') array(jobs: JobBatch) { return jobs.length; }
  @JobHandler(SendMail) async result(job: JobContext) { return { id: job.id }; }
}
`;

/** Compiles a program of a user and returns its errors by line. */
function compile(text: string): Map<string, { readonly code: number; readonly text: string }> {
  const { config } = ts.readConfigFile(resolve(ROOT, 'tsconfig.json'), (path) => ts.sys.readFile(path)) as {
    config: object;
  };
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, ROOT);
  const host = ts.createCompilerHost(options);
  const fileExists = host.fileExists.bind(host);
  const getSourceFile = host.getSourceFile.bind(host);
  host.fileExists = (path) => path === FILE || fileExists(path);
  host.getSourceFile = (path, ...rest) =>
    path === FILE ? ts.createSourceFile(path, text, options.target!) : getSourceFile(path, ...rest);
  const program = ts.createProgram([FILE], options, host);
  const source = program.getSourceFile(FILE)!;
  const lines = text.split('\n');
  return new Map(
    program.getSemanticDiagnostics(source).map(({ start, code, messageText }) => {
      const { line } = source.getLineAndCharacterOfPosition(start!);
      return [lines[line]!.trim(), { code, text: ts.flattenDiagnosticMessageText(messageText, '\n') }];
    }),
  );
}

describe('the error of the compiler', () => {
  const errors = compile(PROGRAM);
  const errorOf = (part: string) => [...errors].find(([line]) => line.includes(part))?.[1];

  it.each([
    ['enqueue(SendMail', 'a payload of another type', "Type 'number' is not assignable to type 'string'."],
    ['enqueueAt', 'an unknown member', "'copy' does not exist in type '{ to: string; }'."],
    ['enqueueMany', 'a payload in a list', "Type 'number' is not assignable to type 'string'."],
    ["enqueue('mail'", 'a duration', "Type '\"5 minutes\"' is not assignable to type 'Duration | undefined'."],
  ])('in %s is one line about %s', (call, _, text) => {
    expect(errorOf(call)?.text).toMatch(new RegExp(`${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`));
    expect(errorOf(call)?.text).not.toContain('\n');
  });

  it.each(['plain', 'typed', 'single'])('says what a handler receives, for the method %s with the payload', (name) => {
    expect(errorOf(` ${name}(`)?.text).toContain(
      "The handler receives the job: write (job: JobContext<…>) and read job.payload. Or decorate the parameter with @Payload() and add the option { parameters: 'decorated' }.",
    );
  });

  it('says that a batch handler receives an array, and that another handler does not', () => {
    expect(errorOf(' batch(')?.text).toContain('With the option batch the handler receives an array');
    expect(errorOf(' array(')?.text).toContain(
      'A handler receives one job. To receive an array of jobs, add the option',
    );
  });

  it('names the member of another payload or result', () => {
    expect(errorOf(' other(')?.text).toContain("Property 'from' is missing in type '{ to: string; }'");
    expect(errorOf(' result(')?.text).toContain("Property 'messageId' is missing in type '{ id: string; }'");
  });
});
