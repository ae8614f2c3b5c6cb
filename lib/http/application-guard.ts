import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { Scope } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import { ContextIdFactory } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import { InvalidOptionsError } from '../core/errors.js';
import type { AdminGuardLike } from '../core/http-options.js';
import { isGuard } from '../core/http-options.js';

/** The application's own guard, asked as Nest would ask it. */
export class ApplicationGuard {
  private constructor(private readonly guardOf: (request: object) => Promise<CanActivate> | CanActivate) {}

  /**
   * An instance as it is; of a class the application's own instance when it has one, else one that is made here.
   *
   * @throws InvalidOptionsError when there is no `canActivate`; whatever Nest says when dependencies of the guard are missing.
   */
  static async of(guard: AdminGuardLike, moduleRef: ModuleRef): Promise<ApplicationGuard> {
    if (typeof guard !== 'function') {
      const instance = guard as unknown as CanActivate;
      return new ApplicationGuard(() => instance);
    }
    const type = guard as unknown as Type<CanActivate>;
    const scope = scopeIn(moduleRef, type);
    if (scope === undefined || scope === Scope.DEFAULT) {
      const shared = scope === undefined ? await moduleRef.create(type) : moduleRef.get(type, { strict: false });
      if (!isGuard(shared)) {
        const got = `${type.name}, which has no canActivate`;
        throw new InvalidOptionsError('http.guard', `expected a guard or its class, got ${got}`);
      }
      return new ApplicationGuard(() => shared);
    }
    return new ApplicationGuard((request) => {
      const contextId = ContextIdFactory.getByRequest(request);
      moduleRef.registerRequestByContextId(request, contextId);
      return moduleRef.resolve(type, contextId, { strict: false });
    });
  }

  /** Whether it admits whoever sends the request. */
  async admits(context: ExecutionContext): Promise<boolean> {
    const guard = await this.guardOf(context.switchToHttp().getRequest<object>());
    const answer = await guard.canActivate(context);
    return (isObservable(answer) ? await lastValueFrom(answer) : answer) === true;
  }
}

/** `undefined` when no module of the application has it. */
function scopeIn(moduleRef: ModuleRef, type: Type): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined;
  }
}
