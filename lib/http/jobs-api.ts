import type { Type } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { MetadataScanner, ModuleRef } from '@nestjs/core';
import { toErrorMessage } from '../core/error-text.js';
import { QueueUnavailableError } from '../core/errors.js';
import { MEBIBYTE } from '../core/limits.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { moduleLogger } from '../nest/nest-logger.js';
import { Access } from './access.js';
import { ApiError, apiErrorOf, errorAnswer } from './api-error.js';
import type { ApiMethod, ApiRouteDescription } from './api-route.js';
import { apiRouteOf } from './api-route.js';
import type { HttpAnswer, HttpDoor, HttpExchange } from './http-exchange.js';
import { API_CONTROLLERS } from './http.tokens.js';
import { readJsonBody } from './json-body.js';
import { readBody, readQuery } from './request-fields.js';
import type { ApiRouteEntry } from './route-table.js';
import { RouteTable } from './route-table.js';
import { SparingLog } from './sparing-log.js';
import { discardUnreadBody } from './unread-body.js';

const BODY_BYTES_MAX = 8 * MEBIBYTE;

/** The door of the HTTP API: finds the route, judges the caller, reads the request, and answers errors in one shape. */
@Injectable()
export class JobsApi implements HttpDoor {
  /** Also where there is no route: nothing at this path is answered in another shape. */
  readonly readsBodies = true;

  private readonly outages = new SparingLog(moduleLogger);
  private known: RouteTable | undefined;

  constructor(
    @Inject(API_CONTROLLERS) private readonly controllers: readonly Type<object>[],
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
    @Inject(Access) private readonly access: Access,
    @Inject(JobsEngine) private readonly engine: JobsEngine,
  ) {}

  /** All routes, in the order of the controllers' methods. */
  get table(): RouteTable {
    this.known ??= new RouteTable(this.controllers.flatMap((controller) => this.routesOf(controller)));
    return this.known;
  }

  async answer(exchange: HttpExchange): Promise<void> {
    const answer = await this.answerTo(exchange).catch((error: unknown) => errorAnswer(this.told(error, exchange)));
    if (answer) {
      await discardUnreadBody(exchange);
      exchange.send(answer);
    }
  }

  private async answerTo(exchange: HttpExchange): Promise<HttpAnswer | undefined> {
    const matched = this.table.find(exchange.method, exchange.path);
    if (!matched) {
      return this.unknownRoute(exchange);
    }
    const { route, id } = matched;
    const { access, query, body } = route.description;
    const visit = this.access.visit(exchange, route);
    await this.access.ensure(access, visit);
    return route.run({
      exchange,
      visit,
      routes: this.table.descriptions,
      id,
      query: readQuery(query ?? {}, exchange.query) as never,
      body: (body ? readBody(body.fields, await this.bodyOf(exchange, route.description)) : {}) as never,
    });
  }

  private async bodyOf(
    exchange: HttpExchange,
    { body, bodyBytesMax = BODY_BYTES_MAX }: ApiRouteDescription,
  ): Promise<unknown> {
    // Room for a payload of any size that the options allow.
    const bytesMax = Math.max(bodyBytesMax, this.engine.settings.payloadBytesMax + MEBIBYTE);
    const value = await readJsonBody(exchange, bytesMax);
    return value === undefined && body?.isOptional ? {} : value;
  }

  /** Whoever may do nothing does not learn what there is. */
  private async unknownRoute(exchange: HttpExchange): Promise<never> {
    const anyRoute = this.table.routes[0]!;
    await this.access.ensure('any', this.access.visit(exchange, anyRoute));
    throw new ApiError(404, 'ROUTE_NOT_FOUND', 'there is no such route');
  }

  /** What the caller is told of an error. The rest stands in the log. */
  private told(error: unknown, { method, basePath, path }: HttpExchange): ApiError {
    const request = `${method} ${basePath}${path}`;
    const answer = apiErrorOf(error) ?? this.unexpected(error, request);
    if (error instanceof QueueUnavailableError) {
      this.outages.warn(`${request} is answered 503: ${error.message}`);
    } else if (answer === error && answer.status >= 500) {
      // The application's own code could not judge the request.
      this.outages.warn(`${request} is answered ${answer.status}: ${toErrorMessage(answer.cause)}`);
    }
    return answer;
  }

  private unexpected(error: unknown, request: string): ApiError {
    const stack = error instanceof Error ? error.stack : undefined;
    moduleLogger.error(`${request} failed: ${toErrorMessage(error)}`, stack);
    return new ApiError(500, 'INTERNAL', 'something went wrong; the log of the application says what');
  }

  private routesOf(controller: Type<object>): ApiRouteEntry[] {
    const instance = this.moduleRef.get<Record<string, ApiMethod>>(controller, { strict: false });
    const names = this.scanner.getAllMethodNames(controller.prototype as object);
    return names.flatMap((name) => {
      const handler = instance[name]!;
      const description = apiRouteOf(handler);
      return description ? [{ description, controller, handler, run: handler.bind(instance) }] : [];
    });
  }
}
