import { Controller, Get, Inject, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import type { Type } from '@nestjs/common';
import { BULK_JOBS_MAX } from '../core/bulk.js';
import type { HttpSettings } from '../core/http-options.js';
import { PAGE_JOBS_MAX } from '../core/list-filter.js';
import { VERSION } from '../core/version.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { AccessPolicy } from './access-policy.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { toPathname, sendJson } from './http-adapter.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { HTTP_SETTINGS } from './caller-resolver.js';
import { JobsController } from './jobs.controller.js';
import { JobsEnqueueController } from './jobs-enqueue.controller.js';
import { JobsGroupsController } from './jobs-groups.controller.js';
import { JobsMetricsController } from './jobs-metrics.controller.js';
import { ref } from './schemas.js';
import { toOpenApi } from './openapi.js';
import { JobsReportsController } from './jobs-reports.controller.js';
import { RequestReader } from './request-reader.js';
import { NO_FIELDS } from './requests.js';
import { DescribeRoute, describeRoutes } from './route-info.js';
import { JobsExportController } from './jobs-export.controller.js';
import { JobsSchedulesController } from './jobs-schedules.controller.js';
import { JobsTopicsController } from './jobs-topics.controller.js';

/** What a caller may do, and the limits of the API. */
export interface CapabilitiesDto {
  admin: boolean;
  authenticated: boolean;
  enqueue: boolean;
  read: boolean;
  manage: boolean;
  topics: readonly string[] | null;
  database: 'postgres' | 'sqlite';
  version: string;
  limits: { page: 200; bulk: 10_000; payload_bytes: number };
  search_payloads: boolean;
}

/** Routes that describe the API and what the caller may do. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
class JobsDiscoveryController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
  ) {}

  @Get('capabilities')
  @DescribeRoute({
    access: 'any',
    summary: 'What this caller may do',
    responses: { 200: { meaning: 'What the caller may do, and the limits of the API', schema: ref('Capabilities') } },
  })
  async capabilities(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const { caller, enqueue, read, manage, topics } = await this.access.permissions(this.access.getIdentity(request));
    const capabilities: CapabilitiesDto = {
      admin: caller.kind === 'admin',
      authenticated: caller.kind !== 'anonymous',
      enqueue,
      read,
      manage,
      topics,
      database: this.engine.database,
      version: VERSION,
      limits: { page: PAGE_JOBS_MAX, bulk: BULK_JOBS_MAX, payload_bytes: this.engine.settings.payloadBytesMax },
      search_payloads: this.access.searchesPayloads,
    };
    await sendJson(response, 200, capabilities);
  }

  @Get('openapi.json')
  @DescribeRoute({
    access: 'any',
    summary: 'This description',
    responses: { 200: { meaning: 'OpenAPI 3.1', schema: { type: 'object' } } },
  })
  async openapi(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const basePath = toPathname(request.originalUrl).replace(/\/[^/]+\/*$/, '');
    await sendJson(response, 200, toOpenApi(describeRoutes(selectControllers(this.settings)), basePath));
  }
}

/** Returns the controllers that the options need. */
export function selectControllers({ metrics }: HttpSettings): Type<object>[] {
  return [...(metrics ? [JobsMetricsController] : []), ...API_CONTROLLERS];
}

/** In the order in which their routes are registered: static paths before `:id`. */
export const API_CONTROLLERS = [
  JobsReportsController,
  JobsTopicsController,
  JobsSchedulesController,
  JobsGroupsController,
  JobsDiscoveryController,
  JobsExportController,
  JobsEnqueueController,
  JobsController,
];
