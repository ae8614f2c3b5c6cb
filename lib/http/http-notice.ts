import type { OnApplicationBootstrap } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { moduleLogger } from '../nest/nest-logger.js';
import { TOKEN_VARIABLE } from './admin-token.js';
import { Callers } from './callers.js';
import { HttpMount } from './http-mount.js';
import { JobsApi } from './jobs-api.js';

/** Says at start what nobody could guess: that the API is closed, and how to open it, or that a token opens nothing. */
@Injectable()
export class HttpNotice implements OnApplicationBootstrap {
  constructor(
    @Inject(HttpMount) private readonly mount: HttpMount,
    @Inject(JobsApi) private readonly api: JobsApi,
    @Inject(Callers) private readonly callers: Callers,
  ) {}

  onApplicationBootstrap(): void {
    if (!this.mount.hasAdapter) {
      return;
    }
    const path = this.mount.pathOf(this.api);
    if (path === undefined) {
      // Answered by Nest itself, the routes would be behind the application's global enhancers, and not behind our rules.
      throw new Error('the routes of the jobs API did not come to the HTTP adapter; expected Nest 11 or 12');
    }
    if (this.callers.wayIn === 'none') {
      moduleLogger.warn(
        `${path} knows no administrator and answers 401 wherever a rule wants one: set the variable ${TOKEN_VARIABLE}, or one of the options ` +
          'http.adminToken, http.guard and http.authenticate; http: false takes the routes away',
      );
    }
    if (this.callers.wayIn === 'application' && process.env[TOKEN_VARIABLE]) {
      moduleLogger.warn(
        `the variable ${TOKEN_VARIABLE} is set and opens nothing: http.guard or http.authenticate says who callers of ${path} are`,
      );
    }
  }
}
