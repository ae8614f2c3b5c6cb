import { Controller, Get, Inject, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { AccessPolicy } from './access-policy.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { JobExport } from './job-export.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { RequestReader } from './request-reader.js';
import { EXPORT } from './requests.js';
import { DescribeRoute } from './route-info.js';

const EXPORT_TYPES = ['text/csv', 'application/x-ndjson', 'application/json'];

/** The route that sends jobs as a file. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsExportController {
  constructor(
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
    @Inject(JobExport) private readonly exporter: JobExport,
  ) {}

  @Get('export')
  @DescribeRoute({
    access: 'read',
    summary: 'The jobs of a filter as a file, at most 100,000',
    query: EXPORT,
    responses: {
      200: { meaning: 'The file, in the given format', schema: {}, type: EXPORT_TYPES },
    },
  })
  async export(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const filter = this.access.limitSearch(this.read.query(request, EXPORT));
    const topics = await this.access.limitTopics('read', this.access.getIdentity(request), filter.topic);
    await this.exporter.send(request, response, filter, topics);
  }
}
