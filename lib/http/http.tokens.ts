/** The checked options of the HTTP API. */
export const HTTP_SETTINGS = Symbol('nestjs-jobs:http-settings');
/** The door of the HTTP API. */
export const JOBS_API = Symbol('nestjs-jobs:jobs-api');
/** The classes of the controllers that hold the API's routes. */
export const API_CONTROLLERS = Symbol('nestjs-jobs:api-controllers');
/** The checked options of the admin UI. */
export const UI_SETTINGS = Symbol('nestjs-jobs:ui-settings');
/** The door of the admin UI. */
export const ADMIN_UI = Symbol('nestjs-jobs:admin-ui');
