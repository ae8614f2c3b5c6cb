import { JobNotFoundError } from '../../core/errors.js';
import type { Job } from '../../core/job.js';
import type { JobLogLevel, JobLogLine } from '../../core/job-log.js';
import type { JobsEngine } from '../../engine/jobs-engine.js';
import { toJobDto, toLineDto, toPageDto } from '../../http/job-serializer.js';
import { isNeverDue } from '../../store/links/link-store.js';
import { LIST } from '../../http/requests.js';
import { cut, formatAge, formatCount, formatTime, toStatusCell } from '../format.js';
import type { Cell, Terminal } from '../terminal.js';
import { escapeText } from '../terminal.js';
import { EXIT } from '../exit.js';
import { defineVerb } from '../verb.js';

const TOPIC_WIDTH_MAX = 40;
const ERROR_WIDTH_MAX = 60;

/** Lists jobs. */
export const list = defineVerb({
  name: 'list',
  summary: 'Lists jobs, newest first',
  details: ['Without options it lists the newest 20 jobs. Its options are the query parameters of GET /api/jobs.'],
  examples: [
    'nestjs-jobs list --status failed --topic mail',
    'nestjs-jobs list --status retrying',
    'nestjs-jobs list --q "connect ECONNREFUSED"',
    'nestjs-jobs list --created-from 2030-01-31T00:00:00Z --limit 200 --json',
  ],
  fields: LIST,
  async run({ values, terminal, isJson, openEngine }) {
    const engine = await openEngine();
    const page = await engine.jobs.list(values);
    if (isJson) {
      terminal.printJson(
        toPageDto(
          page,
          page.items.map((job) => toJobDto(job)),
        ),
      );
      return EXIT.DONE;
    }
    if (page.items.length === 0) {
      terminal.print('no jobs');
      return EXIT.DONE;
    }
    terminal.printTable(['ID', 'TOPIC', 'STATUS', '>ATTEMPT', 'CREATED', 'DUE', 'LAST ERROR'], page.items.map(toRow));
    const total = `${formatCount(page.items.length)} of ${page.totalCapped ? 'more than ' : ''}${formatCount(page.total)}`;
    const next = page.nextCursor === null ? '' : `; next page: --cursor ${page.nextCursor}`;
    terminal.print(terminal.paint('dim', `${total}${next}`));
    return EXIT.DONE;
  },
});

/** A job that waits for parents has none. */
function toDueTime({ runAt }: Job): Date | null {
  return isNeverDue(runAt) ? null : runAt;
}

function toRow(job: Job): Cell[] {
  return [
    job.id,
    cut(job.topic, TOPIC_WIDTH_MAX),
    toStatusCell(job.status),
    job.attempt,
    formatTime(job.created),
    formatTime(toDueTime(job)),
    cut(job.lastError ?? '', ERROR_WIDTH_MAX),
  ];
}

/** Shows one job. */
export const show = defineVerb({
  name: 'show',
  summary: 'Shows one job with its payload, result, steps, actions, log lines and errors',
  args: 'ID',
  argsCount: [1, 1],
  examples: ['nestjs-jobs show 01994f5e-0000-7000-8000-000000000000'],
  fields: {},
  async run({ args: [id], terminal, isJson, openEngine }) {
    const engine = await openEngine();
    const job = await engine.jobs.get(id!);
    if (!job) {
      throw new JobNotFoundError(id!);
    }
    const lines = await readLines(engine, job.id);
    if (isJson) {
      terminal.printJson({ ...toJobDto(job), logs: lines.map(toLineDto) });
    } else {
      printJob(terminal, job);
      printLines(terminal, lines);
    }
    return EXIT.DONE;
  },
});

function printJob(terminal: Terminal, job: Job): void {
  const { started, finished } = job;
  terminal.printPairs([
    ['id', job.id],
    ['topic', job.topic],
    ['status', toStatusCell(job.status)],
    ['due', formatTime(toDueTime(job))],
    ['attempt', job.attempt],
    ['retries', `${job.retries} of ${job.maxRetries}`],
    ['priority', job.priority],
    ['timeout', job.timeoutMs === null ? null : formatAge(job.timeoutMs)],
    ['unique key', job.uniqueKey],
    ['labels', job.labels.length > 0 ? job.labels.join(' ') : null],
    ['worker', job.lockedBy],
    ['lease until', formatTime(job.lockedUntil)],
    ['cancel requested', job.cancelRequested ? 'yes' : null],
    ['created', formatTime(job.created)],
    ['started', formatTime(started)],
    ['finished', formatTime(finished)],
    ['run time', started && finished ? formatAge(finished.getTime() - started.getTime()) : null],
  ]);
  printJsonPart(terminal, 'payload', job.payload);
  printJsonPart(terminal, 'metadata', job.metadata);
  printJsonPart(terminal, 'progress', job.progress);
  printJsonPart(terminal, 'result', job.result);
  printSteps(terminal, job.steps);
  printActions(terminal, job.actions);
  for (const { attempt, finished: failed, message, stack } of job.errors) {
    terminal.print();
    terminal.print(terminal.paint('red', `attempt ${attempt} failed ${formatTime(new Date(failed))}`));
    terminal.print(escapeText(stack ?? message));
  }
}

/** Prints when each step has finished. The results of steps stay in the table, as in the HTTP API. */
function printSteps(terminal: Terminal, steps: Job['steps']): void {
  if (steps.length > 0) {
    terminal.print();
    terminal.print(terminal.paint('dim', 'steps'));
  }
  for (const { name, finished } of steps) {
    terminal.print(`${formatTime(new Date(finished))} ${escapeText(name)}`);
  }
}

/** Prints who has changed the job. */
function printActions(terminal: Terminal, actions: Job['actions']): void {
  if (actions.length > 0) {
    terminal.print();
    terminal.print(terminal.paint('dim', 'actions'));
  }
  for (const { action, via, by, time } of actions) {
    terminal.print(`${formatTime(new Date(time))} ${action} by ${by === null ? via : escapeText(by)}`);
  }
}

async function readLines(engine: JobsEngine, id: string): Promise<JobLogLine[]> {
  const lines: JobLogLine[] = [];
  for (let page = await engine.jobs.logs(id); page.length > 0;) {
    lines.push(...page);
    page = await engine.jobs.logs(id, { after: lines.at(-1)!.id });
  }
  return lines;
}

function printLines(terminal: Terminal, lines: readonly JobLogLine[]): void {
  if (lines.length > 0) {
    terminal.print();
    terminal.print(terminal.paint('dim', 'log'));
  }
  for (const { time, attempt, level, message, data } of lines) {
    const head = `${formatTime(time)} attempt ${attempt} ${LEVEL_STYLES[level](terminal)}`;
    terminal.print(`${head} ${escapeText(message)}${data === null ? '' : ` ${escapeText(JSON.stringify(data))}`}`);
  }
}

const LEVEL_STYLES: Readonly<Record<JobLogLevel, (terminal: Terminal) => string>> = {
  debug: (terminal) => terminal.paint('dim', 'debug'),
  info: () => 'info ',
  warn: (terminal) => terminal.paint('yellow', 'warn '),
  error: (terminal) => terminal.paint('red', 'error'),
};

function printJsonPart(terminal: Terminal, name: string, value: unknown): void {
  if (value !== null && value !== undefined) {
    terminal.print();
    terminal.print(terminal.paint('dim', name));
    terminal.printJson(value);
  }
}
