import type { Type } from '@nestjs/common';
import { InvalidOptionsError } from '../core/errors.js';
import type { HttpSettings, UiSettings } from '../core/http-options.js';
import { AdminUiController } from './admin-ui.controller.js';
import { AdminUi } from './admin-ui.js';
import { controllerAt } from './door-mark.js';
import type { HttpParts } from './http-parts.js';
import { ADMIN_UI, UI_SETTINGS } from './http.tokens.js';
import { readUiFiles } from './ui-files.js';

/**
 * The admin UI at the path of its options; nothing when it is switched off, or when there is no API to ask.
 *
 * @throws InvalidOptionsError where `ui.folder` has no admin UI.
 */
export function uiParts(http: HttpSettings | false, ui: UiSettings | false): HttpParts {
  if (http === false || ui === false) {
    return { controllers: [], providers: [] };
  }
  if (ui.folder !== undefined && readUiFiles(ui.folder).size === 0) {
    throw new InvalidOptionsError(
      'ui.folder',
      `expected a copy of the folder dist/ui of nestjs-jobs, got '${ui.folder}'`,
    );
  }
  return {
    controllers: [controllerAt<Type<object>>(ui.path, AdminUiController)],
    providers: [{ provide: UI_SETTINGS, useValue: ui }, { provide: ADMIN_UI, useExisting: AdminUi }, AdminUi],
  };
}
