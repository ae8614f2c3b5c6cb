import type { Job } from 'nestjs-jobs';
import type { HttpApp } from './http-apps.js';
import type { RawResponse } from './raw-request.js';
import { sendRaw } from './raw-request.js';

/** Part of the topic, the payload and the error of each job. A response that contains it shows data. */
export const SECRET = 'classified';

/** A topic that contains {@link SECRET} and has no handler. */
export const SECRET_TOPIC = `${SECRET}.topic`;

/** The topic of the jobs that `everyRoute` enqueues. */
export const ENQUEUED_TOPIC = `${SECRET}.enqueued`;

/** A valid request to a route. */
export interface RouteRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** The path below the base path, with `:id` for the id of a job and `:name` for the name of a schedule. */
  readonly route: string;
  /** The right that the route requires; `any`: any right, or a known caller. */
  readonly access: 'enqueue' | 'read' | 'manage' | 'any';
  /** The status of the response to a caller with that right. */
  readonly status: number;
  readonly query?: string;
  /** The status of the job that the path names. Default: pending. */
  readonly of?: 'cancelled';
  body?(id: string): unknown;
}

/** Fires in a century. */
const schedule = {
  pattern: '0 0 1 1 *',
  topic: SECRET_TOPIC,
  payload: { [SECRET]: true },
  start_at: '2100-01-01T00:00:00Z',
};

const job = { topic: ENQUEUED_TOPIC, payload: { [SECRET]: true }, delay: '1h' };

/** One request for each route of the API. */
export const everyRoute: readonly RouteRequest[] = [
  { method: 'POST', route: '/enqueue', access: 'enqueue', status: 201, body: () => job },
  { method: 'POST', route: '/enqueue-many', access: 'enqueue', status: 201, body: () => ({ jobs: [job] }) },
  { method: 'GET', route: '', access: 'read', status: 200 },
  { method: 'GET', route: '/export', query: '?format=csv', access: 'read', status: 200 },
  { method: 'GET', route: '/stats', access: 'read', status: 200 },
  { method: 'GET', route: '/timeseries', access: 'read', status: 200 },
  { method: 'GET', route: '/topics', access: 'read', status: 200 },
  { method: 'POST', route: '/topics/pause', access: 'manage', status: 204, body: () => ({ topic: SECRET_TOPIC }) },
  { method: 'POST', route: '/topics/resume', access: 'manage', status: 204, body: () => ({ topic: SECRET_TOPIC }) },
  {
    method: 'PUT',
    route: '/topics/limits',
    access: 'manage',
    status: 200,
    body: () => ({ topic: SECRET_TOPIC, limits: { concurrency: 2 } }),
  },
  { method: 'GET', route: '/schedules', access: 'read', status: 200 },
  { method: 'PUT', route: '/schedules/:name', access: 'manage', status: 200, body: () => schedule },
  { method: 'GET', route: '/schedules/:name', access: 'read', status: 200 },
  { method: 'GET', route: '/schedules/:name/next', access: 'read', status: 200 },
  { method: 'POST', route: '/schedules/:name/pause', access: 'manage', status: 204 },
  { method: 'POST', route: '/schedules/:name/resume', access: 'manage', status: 204 },
  { method: 'POST', route: '/schedules/:name/run', access: 'manage', status: 201 },
  { method: 'DELETE', route: '/schedules/:name', access: 'manage', status: 204 },
  { method: 'POST', route: '/groups', access: 'enqueue', status: 201, body: () => ({ jobs: [job] }) },
  { method: 'GET', route: '/groups', access: 'read', status: 200 },
  { method: 'GET', route: '/groups/:id', access: 'read', status: 200 },
  { method: 'POST', route: '/groups/:id/cancel', access: 'manage', status: 202 },
  { method: 'GET', route: '/:id/graph', access: 'read', status: 200 },
  { method: 'GET', route: '/workers', access: 'read', status: 200 },
  { method: 'GET', route: '/errors', access: 'read', status: 200 },
  { method: 'GET', route: '/capabilities', access: 'any', status: 200 },
  { method: 'GET', route: '/:id', access: 'read', status: 200 },
  { method: 'GET', route: '/:id/logs', access: 'read', status: 200 },
  { method: 'POST', route: '/:id/requeue', access: 'manage', status: 200, of: 'cancelled' },
  { method: 'POST', route: '/:id/promote', access: 'manage', status: 200 },
  { method: 'POST', route: '/:id/cancel', access: 'manage', status: 200 },
  { method: 'DELETE', route: '/:id', access: 'manage', status: 204 },
  {
    method: 'POST',
    route: '/bulk',
    access: 'manage',
    status: 200,
    body: (id) => ({ action: 'cancel', ids: [id] }),
  },
  { method: 'GET', route: '/stream', access: 'read', status: 200 },
  { method: 'GET', route: '/openapi.json', access: 'any', status: 200 },
];

/** Returns the name of a route in test titles. */
export const toRouteName = ({ method, route }: RouteRequest): string => `${method} ${route || '/'}`;

/** Returns the path of a route for a job, a group, or for the schedule that has the name of the job's id. */
export const toRoutePath = ({ route }: RouteRequest, id: string): string =>
  `/api/jobs${route.replace(/:(id|name)/, id)}`;

/** Stores a schedule that never fires during a test. */
export async function storeSchedule(app: HttpApp, name: string): Promise<void> {
  const { pattern, topic, payload, start_at: startAt } = schedule;
  await app.jobs.schedules.upsert(name, pattern, { topic, payload, startAt: new Date(startAt) });
}

/** Stores a group with one job. Returns its id. */
export async function storeGroup(app: HttpApp): Promise<string> {
  const member = { topic: SECRET_TOPIC, payload: { [SECRET]: true }, delay: 3_600_000 };
  return (await app.jobs.enqueueGroup([member], { name: `${SECRET} group` })).id;
}

/** A response, with the job of the request as it was before. */
export interface RouteResponse extends RawResponse {
  readonly job: Job;
}

/** Stores a job for the route and sends the request. */
export async function sendToRoute(
  app: HttpApp,
  request: RouteRequest,
  headers: Readonly<Record<string, string>> = {},
): Promise<RouteResponse> {
  const stored = await app.jobs.enqueue(SECRET_TOPIC, { [SECRET]: true }, { delay: '1h' });
  const before = request.of === 'cancelled' ? await app.jobs.cancel(stored.id) : (await app.jobs.get(stored.id))!;
  if (request.route.includes('/schedules')) {
    await storeSchedule(app, before.id);
  }
  const id = request.route.startsWith('/groups') ? await storeGroup(app) : before.id;
  const body = request.body?.(before.id);
  const {
    status,
    headers: received,
    text,
  } = await sendRaw(app.url, {
    method: request.method,
    path: toRoutePath(request, id) + (request.query ?? ''),
    headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return { status, headers: received, text, job: before };
}
