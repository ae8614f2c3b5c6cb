import { createHash, timingSafeEqual } from 'node:crypto';
import type { CanActivate, ExecutionContext, OnModuleInit, Type } from '@nestjs/common';
import { Inject, Injectable, Scope } from '@nestjs/common';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { describeValue } from '../core/error-text.js';
import { InvalidOptionsError, withCall } from '../core/errors.js';
import type { AdminGuardLike, AuthenticateFunction, HttpSettings } from '../core/http-options.js';
import { isGuard, readAdminToken } from '../core/http-options.js';
import type { ModuleCall } from '../nest/module-checks.js';
import { MODULE_CALL } from '../nest/module-checks.js';
import { forbidden, toRefusal } from './api-error.js';
import type { HttpRequest } from './http-adapter.js';
import { badUser, notAGuard } from './http.messages.js';

/** The checked options of the HTTP API. */
export const HTTP_SETTINGS = Symbol('nestjs-jobs:http-settings');

/** Who sends a request. */
export type Caller =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly id: string }
  | { readonly kind: 'admin'; readonly id: string };

export const ANONYMOUS: Caller = Object.freeze({ kind: 'anonymous' });

/** The admin token and `http.adminGuard` identify no person, so `id` is empty. */
const ADMINISTRATOR: Caller = Object.freeze({ kind: 'admin', id: '' });

/** How callers are identified: by the admin token, by the application, or not at all. */
type AuthMode = 'token' | 'application' | 'none';

/** Returns the guard for a request: a request-scoped guard has an instance for each. */
type GuardFinder = (context: ExecutionContext) => Promise<CanActivate> | CanActivate;

/** Identifies the caller of a request in the one way that the options set. */
@Injectable()
export class CallerResolver implements OnModuleInit {
  private readonly token: AdminToken | undefined;
  private findGuard: GuardFinder | undefined;

  constructor(
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    @Inject(MODULE_CALL) private readonly call: ModuleCall,
  ) {
    this.token = AdminToken.from(settings);
  }

  /** Finds the guard of the options once all providers exist. */
  async onModuleInit(): Promise<void> {
    const { adminGuard } = this.settings;
    try {
      this.findGuard = adminGuard && (await createGuardFinder(adminGuard, this.moduleRef));
    } catch (error) {
      throw withCall(this.call, error);
    }
  }

  get authMode(): AuthMode {
    const identifiesByApplication = this.settings.adminGuard ?? this.settings.authenticate;
    return identifiesByApplication ? 'application' : this.token ? 'token' : 'none';
  }

  /** Whether the request carries the admin token. Browsers never add it by themselves, as they do with cookies. */
  hasToken({ headers }: HttpRequest): boolean {
    return this.token?.isIn(headers.authorization) ?? false;
  }

  /**
   * @throws ApiError when the application refuses the request; any other error of its guard or function, unchanged, which the
   * API returns as 500.
   */
  async resolve(context: ExecutionContext): Promise<Caller> {
    const request = context.switchToHttp().getRequest<HttpRequest>();
    const { authenticate } = this.settings;
    if (this.findGuard) {
      return resolveByGuard(this.findGuard, context);
    }
    if (authenticate) {
      return resolveByFunction(authenticate, request);
    }
    return this.hasToken(request) ? ADMINISTRATOR : ANONYMOUS;
  }
}

/**
 * Returns how to find the guard of the options. A class is looked up among the application's providers. Without such a provider it
 * is instantiated here, with its dependencies injected.
 *
 * @throws InvalidOptionsError without `canActivate`; Nest's error when dependencies are missing.
 */
async function createGuardFinder(given: AdminGuardLike, moduleRef: ModuleRef): Promise<GuardFinder> {
  if (typeof given !== 'function') {
    return () => given as unknown as CanActivate;
  }
  const type = given as unknown as Type<CanActivate>;
  const scope = findScope(moduleRef, type);
  if (scope === undefined || scope === Scope.DEFAULT) {
    const shared = scope === undefined ? await moduleRef.create(type) : moduleRef.get(type, { strict: false });
    if (!isGuard(shared)) {
      throw new InvalidOptionsError('http.adminGuard', notAGuard(type.name));
    }
    return () => shared;
  }
  return (context) => {
    const request = context.switchToHttp().getRequest<object>();
    const contextId = ContextIdFactory.getByRequest(request);
    moduleRef.registerRequestByContextId(request, contextId);
    return moduleRef.resolve(type, contextId, { strict: false });
  };
}

/** Returns `undefined` when no module provides the class. */
function findScope(moduleRef: ModuleRef, type: Type): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined;
  }
}

async function resolveByGuard(find: GuardFinder, context: ExecutionContext): Promise<Caller> {
  let isAdmitted: boolean;
  try {
    const guard = await find(context);
    const result = await guard.canActivate(context);
    isAdmitted = (isObservable(result) ? await lastValueFrom(result) : result) === true;
  } catch (error) {
    throw toRefusal(error);
  }
  if (!isAdmitted) {
    throw forbidden();
  }
  return ADMINISTRATOR;
}

async function resolveByFunction(authenticate: AuthenticateFunction, request: HttpRequest): Promise<Caller> {
  let user: unknown;
  try {
    user = await authenticate(request);
  } catch (error) {
    throw toRefusal(error);
  }
  if (user === null || user === undefined) {
    return ANONYMOUS;
  }
  const { id, admin } = user as { id?: unknown; admin?: unknown };
  if ((typeof id !== 'string' && typeof id !== 'number') || typeof admin !== 'boolean') {
    throw new TypeError(badUser(describeValue(user)));
  }
  return { kind: admin ? 'admin' : 'user', id: String(id) };
}

/** The environment variable with the admin token. */
export const TOKEN_VARIABLE = 'JOBS_ADMIN_TOKEN';

/** The bearer token of administrators. Keeps only a digest of it. */
export class AdminToken {
  private readonly digest: Buffer;

  private constructor(token: string) {
    this.digest = hash(token);
  }

  /**
   * Returns `http.adminToken`. Reads `JOBS_ADMIN_TOKEN` only if none of `adminToken`, `adminGuard` and `authenticate` is set.
   *
   * @throws InvalidOptionsError for an environment variable that no header can carry.
   */
  static from(settings: HttpSettings, environment: NodeJS.ProcessEnv = process.env): AdminToken | undefined {
    const { adminToken, adminGuard, authenticate } = settings;
    const isUnset = !adminToken && !adminGuard && !authenticate;
    const token = isUnset ? readAdminToken(environment[TOKEN_VARIABLE] ?? '', TOKEN_VARIABLE) : adminToken;
    return token ? new AdminToken(token) : undefined;
  }

  /** Whether an `Authorization` header carries the token. Compares digests in constant time, for any length. */
  isIn(authorization: string | undefined): boolean {
    const token = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    return token !== undefined && timingSafeEqual(hash(token), this.digest);
  }
}

function hash(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
