/**
 * @npm-test fastify
 * @matrix nest-11
 */

import type { INestApplication, MiddlewareConsumer, NestModule } from '@nestjs/common';
import { Controller, ForbiddenException, Get, Module, VersioningType } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ApiExcludeController, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { JobsModule } from 'nestjs-jobs';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { LogRecorder } from '../nest/support/log-recorder.js';
import { ApiCaller } from './support/api-caller.js';
import { everyAdapter, fastify } from './support/adapters.js';
import { expectToWork } from './support/expect-to-work.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

@Controller('own')
class OwnController {
  @Get()
  show(): string[] {
    return ['own'];
  }
}

/** Notes on the request what the application's middleware has done. */
@Module({})
class SessionModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    const session = (request: { session?: string }, _response: unknown, next: () => void): void => {
      request.session = 'anna';
      next();
    };
    consumer.apply(session).forRoutes('{*rest}');
  }
}

describe.each(everyAdapter)('the API in an application on $adapter', (adapter) => {
  const apps = useHttpApps(sqliteFile, adapter);

  it.each<[string, (app: INestApplication) => unknown, string]>([
    ['a global prefix', (app) => app.setGlobalPrefix('shop/v1'), '/shop/v1/api/jobs'],
    ['a global prefix with a slash', (app) => app.setGlobalPrefix('/shop/'), '/shop/api/jobs'],
    ['a global prefix with a parameter', (app) => app.setGlobalPrefix(':tenant'), '/acme/api/jobs'],
    ['URI versioning', (app) => app.enableVersioning({ type: VersioningType.URI, defaultVersion: '3' }), '/api/jobs'],
    [
      'header versioning',
      (app) => app.enableVersioning({ type: VersioningType.HEADER, header: 'X-Version', defaultVersion: '3' }),
      '/api/jobs',
    ],
    [
      'media type versioning',
      (app) => app.enableVersioning({ type: VersioningType.MEDIA_TYPE, key: 'v=' }),
      '/api/jobs',
    ],
    [
      'a global prefix and URI versioning',
      (app) => app.setGlobalPrefix('shop').enableVersioning({ type: VersioningType.URI, defaultVersion: ['1', '2'] }),
      '/shop/api/jobs',
    ],
  ])('responds under %s', async (_, before, path) => {
    const app = await apps.listen({ before });
    await expectToWork(app, new ApiCaller(app.url + path, ADMIN_TOKEN));
    const large = JSON.stringify({ topic: 'later', payload: 'x'.repeat(1_000_000), delay: '1h' });
    const api = new ApiCaller(app.url + path, ADMIN_TOKEN);
    expect((await api.send('POST', '/enqueue', { text: large })).status).toBe(201);
  });

  it('responds at the path of its options, with forRoot and forRootAsync', async () => {
    const http = { path: 'internal/queue', adminToken: ADMIN_TOKEN };
    for (const jobsModule of [
      JobsModule.forRoot({ http }),
      JobsModule.forRootAsync({ http, useFactory: () => ({}) }),
    ]) {
      const app = await apps.listen({ jobsModule });
      expect((await app.api.get('/stats')).status).toBe(404);
      await expectToWork(app, new ApiCaller(`${app.url}/internal/queue`, ADMIN_TOKEN));
      await app.close();
    }
  });

  it('starts without a warning', async () => {
    const { app } = await apps.listen({ before: (nest) => nest.enableShutdownHooks() });
    expect(app).toBeDefined();
    expect(apps.log.of('warn')).toEqual([]);
  });

  it('runs after the middleware and passes its request to authenticate', async () => {
    const seen: unknown[] = [];
    const authenticate = (request: { session?: string; raw?: { session?: string }; body?: unknown }) => {
      seen.push(request.session ?? request.raw?.session, request.body);
      return { id: 'anna', admin: true };
    };
    const app = await apps.listen({ imports: [SessionModule], options: { http: { authenticate } } });
    await app.api.post('/enqueue', { topic: 'later', payload: 1, delay: '1h' });
    // The body is read only after the caller is known.
    expect(seen).toEqual(['anna', undefined]);
  });

  it('accepts a body that a parser has already read', async () => {
    const app = await apps.listen({
      before: (nest) =>
        nest.use((request: { body?: unknown }, _response: unknown, next: () => void) => {
          request.body = { topic: 'given', payload: 7, delay: '1h' };
          next();
        }),
    });
    const answer = await app.api.post('/enqueue');
    expect(answer.status).toBe(adapter.adapter === 'Express' ? 201 : 400);
  });

  it('reads the body itself if a parser has skipped it', async () => {
    const app = await apps.listen({
      before: (nest) =>
        nest.use((request: { body?: unknown }, _response: unknown, next: () => void) => {
          // body-parser 1 does this for every request without a body of its type.
          request.body ??= {};
          next();
        }),
    });
    const answer = await app.api.post('/enqueue', { topic: 'later', payload: 1, delay: '1h' });
    expect(answer).toMatchObject({ status: 201, body: { topic: 'later' } });
  });

  it('keeps response headers of the application, for the stream too', async () => {
    const app = await apps.listen({
      before: (nest) => nest.enableCors({ origin: 'https://ui.example', credentials: true }),
    });
    const headers = { Origin: 'https://ui.example' };
    expect((await app.api.get('/stats', { headers })).headers.get('Access-Control-Allow-Origin')).toBe(headers.Origin);
    const stream = await app.api.open('/stream', headers);
    expect(stream.response.headers['access-control-allow-origin']).toBe(headers.Origin);
    stream.close();
    const preflight = await fetch(`${app.url}/api/jobs/enqueue`, {
      method: 'OPTIONS',
      headers: { ...headers, 'Access-Control-Request-Method': 'POST' },
    });
    expect(preflight.status).toBe(204);
  });

  it('stays out of the Swagger document of the application', async () => {
    const app = await apps.listen({ controllers: [OwnController], before: (nest) => nest.setGlobalPrefix('shop') });
    const { paths, components } = SwaggerModule.createDocument(app.app, new DocumentBuilder().build());
    expect(Object.keys(paths)).toEqual(['/shop/own']);
    expect(components?.schemas).toEqual({});
  });

  it('is listed in the Swagger document with ApiExcludeController(false), without the admin UI', async () => {
    const http = { adminToken: ADMIN_TOKEN, decorators: [ApiExcludeController(false)] };
    const app = await apps.listen({ options: { http }, before: (nest) => nest.setGlobalPrefix('shop') });
    const { paths } = SwaggerModule.createDocument(app.app, new DocumentBuilder().build());
    const routes = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((m) => `${m} ${path}`),
    );
    const { body } = await new ApiCaller(`${app.url}/shop/api/jobs`, ADMIN_TOKEN).get<{ paths: object }>(
      '/openapi.json',
    );
    const own = Object.entries(body.paths).flatMap(([path, operations]) =>
      Object.keys(operations as object).map((method) => `${method} ${path}`),
    );
    expect(routes.sort()).toEqual(own.sort());
  });
});

describe('the API on Fastify', () => {
  const apps = useHttpApps(sqliteFile, fastify);

  it.each(['onRequest', 'preValidation', 'preHandler'] as const)(
    'runs after the %s hooks of the application',
    async (hook) => {
      const seen: unknown[] = [];
      const app = await apps.listen({
        options: {
          http: {
            authenticate: (request: FastifyRequest & { user?: string }) => {
              seen.push(request.user);
              return { id: request.user!, admin: true };
            },
          },
        },
        before: (nest) => {
          const instance = nest.getHttpAdapter().getInstance() as FastifyInstance;
          instance.decorateRequest('user', '');
          instance.addHook(hook, async (request) => {
            Object.assign(request, { user: 'anna' });
          });
        },
      });
      expect((await app.api.post('/enqueue', { topic: 'later', payload: 1, delay: '1h' })).status).toBe(201);
      expect(seen).toEqual(['anna']);
    },
  );

  it('leaves errors of a hook to the application', async () => {
    const errors = [Object.assign(new Error('not today'), { statusCode: 423 }), new ForbiddenException('no')];
    for (const error of errors) {
      const app = await apps.listen({
        controllers: [OwnController],
        before: (nest) => {
          const instance = nest.getHttpAdapter().getInstance() as FastifyInstance;
          instance.addHook('onRequest', () => Promise.reject(error));
        },
      });
      const own = await new ApiCaller(app.url).get('/own');
      expect(await app.api.get('/stats')).toMatchObject({ status: own.status, body: own.body });
    }
  });
});

describe('without an HTTP server', () => {
  const apps = useHttpApps(sqliteFile, everyAdapter[0]!);

  it('JobsModule works in an application context and logs no warning', async () => {
    const log = new LogRecorder();
    @Module({ imports: [apps.typeOrm(), JobsModule.forRoot()] })
    class WorkerModule {}
    const context = await NestFactory.createApplicationContext(WorkerModule, { logger: log });
    await context.close();
    expect(log.of('warn', 'JOBS_ADMIN_TOKEN')).toEqual([]);
  });

  it.each(everyAdapter)('http: false adds no routes on $adapter', async (adapter) => {
    const app = await apps.listen({ adapter: adapter.create(), options: { http: false } });
    expect(await app.api.get('/stats')).toMatchObject({ status: 404, body: { statusCode: 404 } });
  });
});
