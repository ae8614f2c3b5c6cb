import { Inject } from '@nestjs/common';
import { BULK_JOBS_MAX } from '../core/bulk.js';
import { PAGE_JOBS_MAX } from '../core/list-filter.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { Access } from './access.js';
import type { ApiCall } from './api-route.js';
import { ApiRoute } from './api-route.js';
import type { JsonAnswer } from './http-exchange.js';
import { jsonAnswer } from './http-exchange.js';
import { ref } from './json-schema.js';
import type { OpenApiDocument } from './openapi.js';
import { openApiDocument } from './openapi.js';
import { VERSION } from './version.js';

/** What a caller may do, and limits of the API. */
export interface WireCapabilities {
  admin: boolean;
  authenticated: boolean;
  enqueue: boolean;
  read: boolean;
  manage: boolean;
  topics: readonly string[] | null;
  database: 'postgres' | 'sqlite';
  version: string;
  limits: { page: 200; bulk: 10_000; payload_bytes: number };
}

/** The routes by which a caller learns what there is, and what of it is open to that caller. */
export class DiscoveryController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(Access) private readonly access: Access,
  ) {}

  @ApiRoute({
    method: 'GET',
    path: '/capabilities',
    access: 'any',
    summary: 'What this caller may do',
    answers: { 200: { meaning: 'What the caller may do, and limits of the API', schema: ref('Capabilities') } },
  })
  async capabilities({ visit }: ApiCall): Promise<JsonAnswer<WireCapabilities>> {
    const { caller, enqueue, read, manage } = await this.access.permissions(visit);
    const { payloadBytesMax } = this.engine.settings;
    return jsonAnswer(200, {
      admin: caller.kind === 'admin',
      authenticated: caller.kind !== 'anonymous',
      enqueue,
      read,
      manage,
      topics: this.access.topics,
      database: this.engine.database,
      version: VERSION,
      limits: { page: PAGE_JOBS_MAX, bulk: BULK_JOBS_MAX, payload_bytes: payloadBytesMax },
    });
  }

  @ApiRoute({
    method: 'GET',
    path: '/openapi.json',
    access: 'any',
    summary: 'This description',
    answers: { 200: { meaning: 'OpenAPI 3.1', schema: { type: 'object' } } },
  })
  async openapi({ exchange, routes }: ApiCall): Promise<JsonAnswer<OpenApiDocument>> {
    return jsonAnswer(200, openApiDocument(routes, exchange.basePath));
  }
}
