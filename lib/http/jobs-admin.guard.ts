import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { AccessPolicy } from './access-policy.js';
import { readRouteInfo } from './route-info.js';

/** Admits callers to the routes of the API by the access rule of each route. Global guards run before it. */
@Injectable()
export class JobsAdminGuard implements CanActivate {
  constructor(@Inject(AccessPolicy) private readonly policy: AccessPolicy) {}

  /** @throws ApiError 401 or 403. */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { access } = readRouteInfo(context.getHandler());
    await this.policy.ensureAllowed(access, this.policy.identify(context));
    return true;
  }
}
