import type { Provider, Type } from '@nestjs/common';
import { Controller, VERSION_NEUTRAL } from '@nestjs/common';
import { InvalidOptionsError } from '../core/errors.js';
import type { HttpSettings } from '../core/http-options.js';
import type { UiSettings } from '../core/ui-options.js';
import { AccessPolicy } from './access-policy.js';
import { JobsUiController, UI_SETTINGS } from './jobs-ui.controller.js';
import { AuditLog } from './audit-log.js';
import { CallerResolver, HTTP_SETTINGS } from './caller-resolver.js';
import { selectControllers } from './jobs-discovery.controller.js';
import { RegisteredRoutes } from './http-adapter.js';
import { BAD_UI_FOLDER } from './http.messages.js';
import { EnqueueAccess } from './enqueue-access.js';
import { JobExport } from './job-export.js';
import { JobSerializer } from './job-serializer.js';
import { JobStreams } from './job-streams.js';
import { RequestReader } from './request-reader.js';
import { StartupWarnings } from './startup-warnings.js';
import { readUiFiles } from './ui-files.js';

/** What the module adds for HTTP. */
interface HttpParts {
  readonly controllers: Type<object>[];
  readonly providers: Provider[];
}

/**
 * Returns the controllers of the API and the admin UI at the paths of their options, and their providers. With `http: false` it
 * returns none.
 *
 * @throws InvalidOptionsError when `ui.folder` holds no admin UI.
 */
export function createHttpParts(http: HttpSettings | false, ui: UiSettings | false): HttpParts {
  if (http === false) {
    return { controllers: [], providers: [] };
  }
  const api = selectControllers(http).map((controller) => mount(controller, http.path, http.decorators));
  const pages = ui === false ? [] : [mount(JobsUiController, ui.path, http.decorators)];
  return {
    controllers: [...api, ...pages],
    providers: [
      { provide: HTTP_SETTINGS, useValue: http },
      ...(ui === false ? [] : [{ provide: UI_SETTINGS, useValue: checkFolder(ui) }]),
      AccessPolicy,
      AuditLog,
      CallerResolver,
      EnqueueAccess,
      JobExport,
      JobSerializer,
      JobStreams,
      RegisteredRoutes,
      RequestReader,
      StartupWarnings,
    ],
  };
}

/** The key of `@ApiExcludeController()` of @nestjs/swagger, which is not a dependency. */
const EXCLUDED_FROM_SWAGGER = 'swagger/apiExcludeController';

/**
 * Returns a subclass at a path of the options, with the application's own decorators. It ignores versioning. The application's
 * Swagger document leaves it out, unless `ApiExcludeController(false)` is among the decorators.
 */
function mount(controller: Type<object>, path: string, decorators: readonly ClassDecorator[]): Type<object> {
  const { [controller.name]: Mounted } = { [controller.name]: class extends controller {} };
  [Controller({ path, version: VERSION_NEUTRAL }), ...decorators].forEach((decorate) => decorate(Mounted!));
  if (!Reflect.hasMetadata(EXCLUDED_FROM_SWAGGER, Mounted!)) {
    Reflect.defineMetadata(EXCLUDED_FROM_SWAGGER, [true], Mounted!);
  }
  return Mounted!;
}

function checkFolder(ui: UiSettings): UiSettings {
  if (ui.folder !== undefined && readUiFiles(ui.folder).size === 0) {
    throw new InvalidOptionsError('ui.folder', `${BAD_UI_FOLDER}, got '${ui.folder}'`);
  }
  return ui;
}
