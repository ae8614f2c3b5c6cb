import { Inject, Injectable } from '@nestjs/common';
import type { Actor } from '../core/job-action.js';
import { moduleLogger } from '../nest/nest-logger.js';
import { AccessPolicy } from './access-policy.js';
import type { Caller } from './caller-resolver.js';
import { ANONYMOUS } from './caller-resolver.js';
import type { HttpRequest } from './http-adapter.js';

const TEXT_LENGTH_MAX = 300;

/** Logs who changed jobs over HTTP, and names the caller for the rows of the jobs. */
@Injectable()
export class AuditLog {
  constructor(@Inject(AccessPolicy) private readonly policy: AccessPolicy) {}

  /**
   * @param action a sentence without its subject, such as `cancelled job …`
   * @param selection the ids or the filter of a bulk request
   */
  record(request: HttpRequest, action: string, selection?: object): void {
    // The response does not wait for the name of the caller.
    this.policy
      .getIdentity(request)
      .callerOrAnonymous()
      .then(
        (caller) => this.write(caller, action, selection),
        () => this.write(undefined, action, selection),
      );
  }

  /** Returns who sends a request that changes jobs. Their rows record it. */
  async actor(request: HttpRequest): Promise<Actor> {
    const caller = await this.policy
      .getIdentity(request)
      .callerOrAnonymous()
      .catch(() => ANONYMOUS);
    return { via: 'api', by: caller.kind === 'anonymous' || caller.id === '' ? null : caller.id };
  }

  private write(caller: Caller | undefined, action: string, selection: object | undefined): void {
    const details = selection ? `: ${JSON.stringify(selection).slice(0, TEXT_LENGTH_MAX)}` : '';
    moduleLogger.log(`${describeCaller(caller)} ${action}${details}`);
  }
}

function describeCaller(caller: Caller | undefined): string {
  if (caller === undefined || caller.kind === 'anonymous') {
    return 'an unknown caller';
  }
  return caller.id === '' ? 'an administrator' : `'${caller.id.slice(0, TEXT_LENGTH_MAX)}'`;
}
