/** The checked options of the HTTP API. */
export const HTTP_SETTINGS = Symbol('nestjs-jobs:http-settings');
/** The checked options of the admin UI. */
export const UI_SETTINGS = Symbol('nestjs-jobs:ui-settings');
