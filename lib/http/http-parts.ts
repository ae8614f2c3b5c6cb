import type { Provider, Type } from '@nestjs/common';
import type { HttpSettings } from '../core/http-options.js';
import { Access } from './access.js';
import { Callers } from './callers.js';
import { DiscoveryController } from './discovery.controller.js';
import { controllerAt } from './door-mark.js';
import { API_CONTROLLERS, HTTP_SETTINGS, JOBS_API } from './http.tokens.js';
import { HttpMount } from './http-mount.js';
import { HttpNotice } from './http-notice.js';
import { JobStreams } from './job-streams.js';
import { JobsApi } from './jobs-api.js';
import { JobsController } from './jobs.controller.js';
import { MoveLog } from './move-log.js';
import { ReportsController } from './reports.controller.js';
import { TopicsController } from './topics.controller.js';
import { WireJobs } from './wire-jobs.js';

/** What a module is given so that it answers over HTTP. */
export interface HttpParts {
  readonly controllers: Type<object>[];
  readonly providers: Provider[];
}

/** The HTTP API at the path of its options; nothing when it is switched off. */
export function httpParts(http: HttpSettings | false): HttpParts {
  if (http === false) {
    return { controllers: [], providers: [] };
  }
  const api = [ReportsController, TopicsController, DiscoveryController, JobsController].map((controller) =>
    controllerAt<Type<object>>(http.path, controller),
  );
  return {
    controllers: [...api],
    providers: [
      { provide: HTTP_SETTINGS, useValue: http },
      { provide: API_CONTROLLERS, useValue: api },
      { provide: JOBS_API, useExisting: JobsApi },
      Access,
      Callers,
      HttpMount,
      HttpNotice,
      JobsApi,
      JobStreams,
      MoveLog,
      WireJobs,
    ],
  };
}
