/** Texts that callers of the API and operators of the application read. */

// Responses.
export const UNAUTHORIZED = 'credentials are missing or wrong';
export const FORBIDDEN = 'you are not allowed to do that';
export const CROSS_ORIGIN =
  'a browser sent this request from another origin with a cookie or a remembered sign-in; send it from the same origin';
export const AUTHORIZATION_FAILED = 'the application could not check this request; its log says why';
export const INTERNAL = 'something went wrong; the log of the application says what';
export const UNAVAILABLE = 'the queue is not available; try again';
export const ROW_LOCKED = 'an open transaction holds what this request needs; try again';
export const INVALID_JSON = 'the body is not valid JSON in UTF-8';
export const INCOMPLETE_BODY = 'the body ended before it was complete';
export const UNSUPPORTED_MEDIA_TYPE = 'expected a body of type application/json in UTF-8, not compressed';
export const UI_NOT_BUILT = 'the admin UI has no files: build the package, or set ui.folder';
export const UI_NO_FILE = 'there is no such file';
export const UI_NO_PAGE = 'there is no such page';
export const UNKNOWN_TOPIC =
  'no live process handles this topic, and no job has it; start a worker that does, or list the topic in http.allowedTopics';
export const FIELD_NOT_ALLOWED = 'needs the right to manage this topic; leave it out, or add it to http.enqueueFields';
export const NO_KEY_FOR_MANY = 'not supported for many jobs; send jobs that may be repeated one by one';

export const topicNotAllowed = (topic?: string): string =>
  `${topic === undefined ? 'a topic of what this request changes' : `topic '${topic}'`} is not allowed here`;
export const shortSharedKey = (lengthMin: number): string =>
  `expected at least ${lengthMin} characters, such as a UUID, because unknown callers share their keys; with http.authenticate each has its own`;
export const tooManyTopics = (topicsMax: number): string =>
  `missing; there are more than ${topicsMax} topics, so name those that the request concerns`;
export const bodyTooLarge = (bytesMax: number): string => `the body must be at most ${bytesMax} bytes`;
export const bodyTooSlow = (seconds: number): string => `the body must be complete within ${seconds} s`;

// The application's log.
export const failed = (request: string, reason: string): string => `${request} failed: ${reason}`;
export const respondedWith = (request: string, status: number, reason: string): string =>
  `${request} responded with ${status}: ${reason}`;
export function noAdministrator(closed: 'all' | readonly string[], hasUi: boolean, variable: string): string {
  const open = `Set ${variable}, or one of the options http.adminToken, http.adminGuard and http.authenticate`;
  if (closed !== 'all') {
    return `No administrator is configured: ${closed.join(' and ')} ${closed.length === 1 ? 'admits' : 'admit'} no request. ${open}`;
  }
  const what = hasUi ? 'The jobs API and admin UI are' : 'The jobs API is';
  return `${what} closed: no administrator is configured. ${open}; http: false removes the routes`;
}
export const unusedToken = (variable: string): string =>
  `${variable} has no effect: http.adminGuard or http.authenticate identifies the callers of the jobs API`;
export const globalGuards = (guards: readonly string[], paths: readonly string[]): string =>
  `${guards.join(' and ')} ${guards.length === 1 ? 'is a global guard and runs' : 'are global guards and run'} before ` +
  `http.adminToken, http.adminGuard and the rules, on ${paths.join(' and ')}. A request must pass both. To opt out, set ` +
  'http.decorators to the class decorators that your guard reads, such as [Public()]';
export const UI_FILES_MISSING =
  'the admin UI has no files in this bundle: copy the folder dist/ui of nestjs-jobs and set ui.folder, or set ui: false';

// Errors in options and in the application's own functions.
export const BAD_ADAPTER = 'expected Express or Fastify; http: false mounts no routes';
export const BAD_UI_FOLDER = 'expected a copy of the folder dist/ui of nestjs-jobs';
export const notAGuard = (name: string): string =>
  `expected a guard or its class, got ${name}, which has no canActivate`;
export const badUser = (got: string): string => `http.authenticate must return { id, admin } or null, got ${got}`;
export const badRedaction = (got: string): string => `http.redact must return a job, got ${got}`;

export const NO_PROM_CLIENT = 'needs the package prom-client; npm install prom-client';
