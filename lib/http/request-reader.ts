import { Inject, Injectable } from '@nestjs/common';
import { MEBIBYTE } from '../core/bounds.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { HttpRequest } from './http-adapter.js';
import { getBody } from './http-adapter.js';
import { readJsonBody } from './request-body.js';
import type { FieldTable, FieldValues } from './request-fields.js';
import { readBody, readQuery } from './request-fields.js';
import { NO_FIELDS } from './requests.js';

const BODY_BYTES_MAX = 8 * MEBIBYTE;
/** For requests with many jobs or many ids. */
export const MANY_BYTES_MAX = 16 * MEBIBYTE;

interface BodyRules {
  /** Largest body. Default: 8 MiB, or `payloadMaxBytes` and 1 MiB where that is more. */
  readonly bytesMax?: number;
  /** The request may omit the body. */
  readonly isOptional?: boolean;
}

/**
 * Reads requests for the controllers. They do not use `@Query()` and `@Body()`, which the application's global pipes would
 * change.
 */
@Injectable()
export class RequestReader {
  constructor(@Inject(JobsEngine) private readonly engine: JobsEngine) {}

  /** @throws ApiError 400 for a wrong or unknown parameter. */
  query<Table extends FieldTable>(request: HttpRequest, table: Table): FieldValues<Table> {
    const [, query = ''] = /\?([^#]*)/.exec(request.originalUrl) ?? [];
    return readQuery(table, new URLSearchParams(query));
  }

  /** Reads a body; such requests have no query. @throws ApiError 400, 408, 413 or 415. */
  async body<Table extends FieldTable>(
    request: HttpRequest,
    table: Table,
    { bytesMax = BODY_BYTES_MAX, isOptional = false }: BodyRules = {},
  ): Promise<FieldValues<Table>> {
    this.query(request, NO_FIELDS);
    const unread = { headers: request.headers, stream: getBody(request), parsed: request.body ?? undefined };
    const value = await readJsonBody(unread, Math.max(bytesMax, this.engine.settings.payloadBytesMax + MEBIBYTE));
    return readBody(table, value === undefined && isOptional ? {} : value);
  }

  /** Rejects a query and fields in a body. */
  async nothing(request: HttpRequest): Promise<void> {
    await this.body(request, NO_FIELDS, { isOptional: true });
  }
}
