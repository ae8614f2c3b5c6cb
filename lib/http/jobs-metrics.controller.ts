import { Controller, Get, Inject, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import type { Registry } from 'prom-client';
import { InvalidOptionsError } from '../core/errors.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { OTHER_TOPICS } from '../engine/reports/queue-gauges.js';
import { loadPromClient } from '../engine/telemetry/optional-packages.cjs';
import { registerJobsMetrics } from '../telemetry/prometheus.js';
import type { RequestIdentity } from './access-policy.js';
import { AccessPolicy } from './access-policy.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { API_HEADERS, send } from './http-adapter.js';
import { NO_PROM_CLIENT } from './http.messages.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { RequestReader } from './request-reader.js';
import { NO_FIELDS } from './requests.js';
import { DescribeRoute } from './route-info.js';

/** The metrics for Prometheus, with `http.metrics`. Counts from the start of the application on. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsMetricsController {
  private readonly registry: Registry;

  constructor(
    @Inject(JobsEngine) engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
  ) {
    const client = loadPromClient();
    if (!client) {
      throw new InvalidOptionsError('http.metrics', NO_PROM_CLIENT);
    }
    this.registry = new client.Registry();
    registerJobsMetrics(this.registry, engine);
  }

  @Get('metrics')
  @DescribeRoute({
    access: 'read',
    summary: 'The metrics of the queue, for Prometheus',
    responses: { 200: { meaning: 'The text format of Prometheus', schema: { type: 'string' }, type: 'text/plain' } },
  })
  async metrics(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const body = Buffer.from(await this.readMetrics(this.access.getIdentity(request)), 'utf8');
    const headers = { ...API_HEADERS, 'Content-Type': this.registry.contentType };
    await send(response, { status: 200, headers, body });
  }

  /** Returns the text format, without the lines of topics that the caller may not read, and of sums that may contain these. */
  private async readMetrics(identity: RequestIdentity): Promise<string> {
    await this.access.ensureSomeTopic('read', identity);
    const text = await this.registry.metrics();
    if (!(await this.access.isLimited('read', identity))) {
      return text;
    }
    const lines = text.split('\n').map((line) => ({ line, topic: readTopic(line) }));
    const topics = lines.flatMap(({ topic }) => topic ?? []);
    const mayRead = await this.access.admitted('read', identity, topics);
    const shown = lines.filter(({ topic }) => topic === undefined || (topic !== OTHER_TOPICS && mayRead(topic)));
    return shown.map(({ line }) => line).join('\n');
  }
}

const ESCAPES: Readonly<Record<string, string>> = { '\\n': '\n', '\\"': '"', '\\\\': '\\' };

/** Returns the label `topic` of a line; `undefined` for a line without it. */
function readTopic(line: string): string | undefined {
  const label = /[{,]topic="((?:[^"\\]|\\.)*)"/.exec(line)?.[1];
  return label?.replace(/\\./g, (escape) => ESCAPES[escape] ?? escape);
}
