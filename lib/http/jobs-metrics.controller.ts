import { Controller, Get, Inject, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import type { Registry } from 'prom-client';
import { InvalidOptionsError } from '../core/errors.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { loadPromClient } from '../engine/telemetry/optional-packages.cjs';
import { addMetrics } from '../telemetry/prometheus.js';
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
    @Inject(AccessPolicy) { topics }: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
  ) {
    const client = loadPromClient();
    if (!client) {
      throw new InvalidOptionsError('http.metrics', NO_PROM_CLIENT);
    }
    this.registry = new client.Registry();
    addMetrics(this.registry, engine, (topic) => topics?.includes(topic) ?? true);
  }

  @Get('metrics')
  @DescribeRoute({
    access: 'read',
    summary: 'The metrics of the queue, for Prometheus',
    responses: { 200: { meaning: 'The text format of Prometheus', schema: { type: 'string' }, type: 'text/plain' } },
  })
  async metrics(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const body = Buffer.from(await this.registry.metrics(), 'utf8');
    const headers = { ...API_HEADERS, 'Content-Type': this.registry.contentType };
    await send(response, { status: 200, headers, body });
  }
}
