import type { Job } from 'nestjs-jobs';
import type { HttpApp } from './http-apps.js';
import type { RawAnswer } from './raw-request.js';
import { sendRaw } from './raw-request.js';

/** Stands in topic, payload and error of every job of these tests: whoever reads it in an answer was shown data. */
export const SECRET = 'classified';

/** A topic with {@link SECRET} in it, and without a handler. */
export const SECRET_TOPIC = `${SECRET}.topic`;

/** The topic of the jobs that the routes for enqueueing store. */
export const ENQUEUED_TOPIC = `${SECRET}.enqueued`;

/** A request that a route takes. */
export interface RouteRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** As it stands in the contract, below the base path. */
  readonly route: string;
  /** Which rule decides; `any`: whoever may do something. */
  readonly access: 'enqueue' | 'read' | 'manage' | 'any';
  /** The answer to one who may. */
  readonly status: number;
  /** Where the job with the id in the path stands. Default: it waits. */
  readonly of?: 'cancelled';
  body?(id: string): unknown;
}

const job = { topic: ENQUEUED_TOPIC, payload: { [SECRET]: true }, delay: '1h' };

/** A request for each route of the contract. */
export const everyRoute: readonly RouteRequest[] = [
  { method: 'POST', route: '/enqueue', access: 'enqueue', status: 201, body: () => job },
  { method: 'POST', route: '/enqueue-many', access: 'enqueue', status: 201, body: () => ({ jobs: [job] }) },
  { method: 'GET', route: '', access: 'read', status: 200 },
  { method: 'GET', route: '/stats', access: 'read', status: 200 },
  { method: 'GET', route: '/timeseries', access: 'read', status: 200 },
  { method: 'GET', route: '/topics', access: 'read', status: 200 },
  { method: 'POST', route: '/topics/pause', access: 'manage', status: 204, body: () => ({ topic: SECRET_TOPIC }) },
  { method: 'POST', route: '/topics/resume', access: 'manage', status: 204, body: () => ({ topic: SECRET_TOPIC }) },
  { method: 'GET', route: '/errors', access: 'read', status: 200 },
  { method: 'GET', route: '/capabilities', access: 'any', status: 200 },
  { method: 'GET', route: '/:id', access: 'read', status: 200 },
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

/** How the tests call it. */
export const nameOf = ({ method, route }: RouteRequest): string => `${method} ${route || '/'}`;

/** An answer, with the job of its request as it stood before. */
export interface RouteAnswer extends RawAnswer {
  readonly job: Job;
}

/** Stores a job that fits the route, and sends the request with these headers. */
export async function askRoute(
  app: HttpApp,
  request: RouteRequest,
  headers: Readonly<Record<string, string>> = {},
): Promise<RouteAnswer> {
  const stored = await app.jobs.enqueue(SECRET_TOPIC, { [SECRET]: true }, { delay: '1h' });
  const before = request.of === 'cancelled' ? await app.jobs.cancel(stored.id) : (await app.jobs.get(stored.id))!;
  const body = request.body?.(before.id);
  const {
    status,
    headers: answered,
    text,
  } = await sendRaw(app.url, {
    method: request.method,
    path: `/api/jobs${request.route.replace(':id', before.id)}`,
    headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return { status, headers: answered, text, job: before };
}
