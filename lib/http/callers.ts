import type { ExecutionContext, Type } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import type { OnModuleInit } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { describeValue } from '../core/error-text.js';
import type { AuthenticateFunction, HttpSettings } from '../core/http-options.js';
import { AdminToken } from './admin-token.js';
import { forbidden, refusalOf } from './api-error.js';
import { ApplicationGuard } from './application-guard.js';
import type { Caller } from './caller.js';
import { ADMINISTRATOR, ANONYMOUS } from './caller.js';
import type { HttpExchange } from './http-exchange.js';
import { HTTP_SETTINGS } from './http.tokens.js';

/** How callers become known: by the admin token, in a way of the application's own, or not at all. */
export type WayIn = 'token' | 'application' | 'none';

/** The method that a guard is told of. */
export interface GuardedMethod {
  readonly controller: Type<object>;
  readonly handler: (...args: never[]) => unknown;
}

/** Finds out who sends a request, in the one way that the options say. */
@Injectable()
export class Callers implements OnModuleInit {
  private readonly token: AdminToken | undefined;
  private guard: ApplicationGuard | undefined;

  constructor(
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
  ) {
    this.token = AdminToken.from(settings);
  }

  /** The guard of the options is looked for when everything else of the application is there. */
  async onModuleInit(): Promise<void> {
    const { guard } = this.settings;
    this.guard = guard && (await ApplicationGuard.of(guard, this.moduleRef));
  }

  get wayIn(): WayIn {
    const isApplications = this.settings.guard ?? this.settings.authenticate;
    return isApplications ? 'application' : this.token ? 'token' : 'none';
  }

  /** Whether the request itself carries the token: no browser adds that by itself, as it does with cookies. */
  hasToken(exchange: HttpExchange): boolean {
    return this.token?.isIn(exchange.headers.authorization) ?? false;
  }

  /** @throws ApiError when the guard refuses; whatever the application's own code throws. */
  async callerOf(exchange: HttpExchange, method: GuardedMethod): Promise<Caller> {
    const { authenticate } = this.settings;
    if (this.guard) {
      return this.guarded(this.guard, exchange, method);
    }
    if (authenticate) {
      return authenticated(authenticate, exchange.request);
    }
    return this.hasToken(exchange) ? ADMINISTRATOR : ANONYMOUS;
  }

  private async guarded(guard: ApplicationGuard, exchange: HttpExchange, method: GuardedMethod): Promise<Caller> {
    const { request, response } = exchange;
    const context: ExecutionContext = new ExecutionContextHost(
      [request, response, () => exchange.pass()],
      method.controller,
      method.handler,
    );
    const isAdmitted = await guard.admits(context).catch((error: unknown) => {
      throw refusalOf(error);
    });
    if (!isAdmitted) {
      throw forbidden();
    }
    return ADMINISTRATOR;
  }
}

async function authenticated(authenticate: AuthenticateFunction, request: object): Promise<Caller> {
  let user: unknown;
  try {
    user = await authenticate(request);
  } catch (error) {
    throw refusalOf(error);
  }
  if (user === null || user === undefined) {
    return ANONYMOUS;
  }
  const { id, admin } = user as { id?: unknown; admin?: unknown };
  if ((typeof id !== 'string' && typeof id !== 'number') || typeof admin !== 'boolean') {
    throw new TypeError(`http.authenticate: expected { id, admin } or null, got ${describeValue(user)}`);
  }
  return { kind: admin ? 'admin' : 'user', id: String(id) };
}
