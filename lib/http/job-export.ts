import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { OnModuleDestroy } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { QueueUnavailableError } from '../core/errors.js';
import type { JobFilter } from '../core/job.js';
import { countRows, MEBIBYTE } from '../core/bounds.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { API_HEADERS, openResponse } from './http-adapter.js';
import type { JobDto } from './job-serializer.js';
import { JobSerializer } from './job-serializer.js';

/** The largest number of jobs in one export. */
const EXPORT_JOBS_MAX = 100_000;

type ExportFormat = 'csv' | 'ndjson' | 'json';

/** Jobs that are in memory at a time. Fewer if their payloads are large, because converting a page blocks the event loop. */
const PAGE_JOBS = 100;
const PAGE_CHARS = 2 * MEBIBYTE;
/** The first page is small, since nothing is known of the payloads. */
const FIRST_PAGE_JOBS = 10;
/** The server disconnects a caller that reads nothing for this long. */
const STALLED_MS_MAX = 60_000;

/** Sends the jobs of a filter as a file, page by page, as fast as the caller reads. */
@Injectable()
export class JobExport implements OnModuleDestroy {
  private readonly closing = new AbortController();

  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(JobSerializer) private readonly serializer: JobSerializer,
  ) {}

  /**
   * Resolves when the file is sent, or the caller has disconnected. An error ends the connection before the end of the file.
   *
   * @param topics sends only jobs of these topics; `null`: of all.
   * @throws InvalidOptionsError for an invalid filter; any error of the first page. Nothing is sent then.
   */
  async send(
    { method }: HttpRequest,
    reply: HttpResponse,
    { format, ...filter }: JobFilter & { readonly format: ExportFormat },
    topics: readonly string[] | null,
  ): Promise<void> {
    if (this.closing.signal.aborted) {
      throw new QueueUnavailableError('the application is shutting down');
    }
    const { ids, more } = await this.engine.jobs.select(filter, EXPORT_JOBS_MAX, topics);
    const { type, begin, toText, separator, end } = FORMATS[format];
    const pages = this.readPages(ids, toText);
    // An error of the first page must still be able to set another status.
    const first = await pages.next();
    const response = openResponse(reply, {
      ...API_HEADERS,
      'Content-Type': type,
      'Content-Disposition': `attachment; filename="jobs.${format}"`,
      'Export-Truncated': String(more),
    });
    if (method === 'HEAD' || response.closed) {
      response.end();
      return;
    }
    const write = async function* (): AsyncGenerator<string> {
      yield begin;
      let isFirst = true;
      for (let page = first; !page.done; page = await pages.next()) {
        const text = page.value.join(separator);
        yield isFirst || text === '' ? text : separator + text;
        isFirst &&= text === '';
      }
      yield end;
    };
    await this.pipe(write(), response);
  }

  /** The server waits for its connections when it closes. */
  onModuleDestroy(): void {
    this.closing.abort();
  }

  private async *readPages(ids: readonly string[], toText: (job: JobDto) => string): AsyncGenerator<readonly string[]> {
    for (let start = 0, wanted = FIRST_PAGE_JOBS; start < ids.length;) {
      const page = ids.slice(start, start + wanted);
      const jobs = await this.engine.jobs.find(page);
      const texts = (await this.serializer.explained(jobs)).map(toText);
      yield texts;
      start += page.length;
      const chars = texts.reduce((sum, text) => sum + text.length, 0);
      wanted = countRows(page.length, chars, PAGE_CHARS, PAGE_JOBS);
    }
  }

  private async pipe(chunks: AsyncIterable<string>, response: ServerResponse): Promise<void> {
    const { signal } = this.closing;
    response.setTimeout(STALLED_MS_MAX, () => response.destroy());
    try {
      await pipeline(chunks, response, { signal });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!signal.aborted && code !== 'ERR_STREAM_PREMATURE_CLOSE') {
        throw error;
      }
    }
  }
}

/** How a file of jobs is written. */
interface FileFormat {
  readonly type: string;
  readonly begin: string;
  readonly toText: (job: JobDto) => string;
  readonly separator: string;
  readonly end: string;
}

/** The columns of a CSV file. */
const COLUMNS = [
  'id',
  'topic',
  'status',
  'priority',
  'attempt',
  'retries',
  'max_retries',
  'created',
  'run_at',
  'started',
  'finished',
  'unique_key',
  'concurrency_key',
  'labels',
  'last_error',
  'payload',
  'metadata',
] as const satisfies readonly (keyof JobDto)[];

/** Columns of JSON. */
const JSON_COLUMNS: ReadonlySet<string> = new Set(['payload', 'metadata']);

const FORMATS: Readonly<Record<ExportFormat, FileFormat>> = {
  csv: {
    type: 'text/csv; charset=utf-8',
    begin: `${COLUMNS.join(',')}\r\n`,
    toText: (job) =>
      `${COLUMNS.map((name) => toCell(name === 'labels' ? job.labels.join(' ') : job[name], JSON_COLUMNS.has(name))).join(',')}\r\n`,
    separator: '',
    end: '',
  },
  ndjson: {
    type: 'application/x-ndjson; charset=utf-8',
    begin: '',
    toText: (job) => `${JSON.stringify(job)}\n`,
    separator: '',
    end: '',
  },
  json: {
    type: 'application/json; charset=utf-8',
    begin: '[',
    toText: (job) => `\n${JSON.stringify(job)}`,
    separator: ',',
    end: '\n]\n',
  },
};

/**
 * What a spreadsheet reads as a formula: these characters at the start of a cell, after spaces and a quote. Excel also reads the wide
 * forms. A spreadsheet whose separator is `;` or a tab starts cells there, and rows at line breaks, because it ignores quotes within
 * a cell.
 */
const FORMULA = /(^|[;\t\r\n])((?:[^\S\t\r\n]|")*)(?=[=+\-@＝＋－＠])/g;

/** A spreadsheet ignores these at the start of a cell, so a formula could follow. */
const LEADING_CONTROL = /^[\t\r\n]/;

function toCell(value: unknown, isJson: boolean): string {
  if (value === null || value === undefined) {
    return '';
  }
  if (typeof value === 'number' && !isJson) {
    return String(value);
  }
  const text = isJson || typeof value !== 'string' ? JSON.stringify(value) : value;
  const escaped = text.replace(FORMULA, "$1$2'");
  const safe = LEADING_CONTROL.test(escaped) ? `'${escaped}` : escaped;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
