/**
 * @npm-test fastify
 * @matrix nest-11
 */

import type { ServerResponse } from 'node:http';
import type { ArgumentsHost, ExceptionFilter } from '@nestjs/common';
import { Body, Catch, Controller, Get, NotFoundException, Param, Post, Res, UseFilters } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { EnqueueOptions } from 'nestjs-jobs';
import {
  InvalidOptionsError,
  JobNotFoundError,
  JobsErrorFilter,
  JobsService,
  LeaseLostError,
  QueueUnavailableError,
  UnknownDataSourceError,
} from 'nestjs-jobs';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { textWith } from '../nest/support/matchers.js';
import { everyAdapter } from './support/adapters.js';
import type { HttpApp, HttpAppParts } from './support/http-apps.js';
import { useHttpApps, useOneHttpApp } from './support/http-apps.js';

const UNKNOWN_ID = '01890000-0000-7000-8000-000000000000';

/** A controller of the application that uses the queue. */
@Controller('shop')
class ShopController {
  constructor(private readonly jobs: JobsService) {}

  @Post('enqueue')
  enqueue(@Body() { topic, payload, ...options }: EnqueueOptions & { topic: string; payload: unknown }) {
    return this.jobs.enqueue(topic, payload, options);
  }

  @Post('promote/:id')
  promote(@Param('id') id: string) {
    return this.jobs.promote(id);
  }

  @Get('throws/:name')
  fail(@Param('name') name: string): never {
    throw errors[name]!();
  }

  /** Fails after the first part of its response was sent. */
  @Get('started')
  start(@Res() response: ServerResponse & { raw?: ServerResponse; hijack?: () => void }): never {
    response.hijack?.();
    (response.raw ?? response).writeHead(200, { 'Content-Type': 'text/plain' }).write('begun');
    throw new JobNotFoundError(UNKNOWN_ID);
  }
}

const errors: Readonly<Record<string, () => Error>> = {
  outage: () => new QueueUnavailableError('the database does not answer: connect ECONNREFUSED 10.1.2.3'),
  lease: () => new LeaseLostError(UNKNOWN_ID, 1),
  source: () => new UnknownDataSourceError('the manager of another DataSource'),
  manager: () => new InvalidOptionsError('manager', 'expected the EntityManager of an open transaction'),
  nest: () => new NotFoundException('no such shop'),
  other: () => new Error('secret'),
};

@Controller('shop')
@UseFilters(JobsErrorFilter)
class FilteredShopController extends ShopController {
  constructor(jobs: JobsService) {
    super(jobs);
  }
}

async function request(app: HttpApp, path: string, body?: object) {
  const init = body && {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  };
  const response = await fetch(`${app.url}/${path}`, init);
  return { status: response.status, headers: response.headers, body: await response.json() };
}

const places: [string, HttpAppParts][] = [
  ['@UseFilters', { controllers: [FilteredShopController] }],
  ['APP_FILTER', { controllers: [ShopController], providers: [{ provide: APP_FILTER, useClass: JobsErrorFilter }] }],
  ['useGlobalFilters', { controllers: [ShopController], before: (app) => app.useGlobalFilters(new JobsErrorFilter()) }],
];

describe.each(everyAdapter)('JobsErrorFilter on $adapter', (adapterKind) => {
  describe.each(places)('with %s', (_, parts) => {
    const app = useOneHttpApp(sqliteFile, adapterKind, parts);

    it('responds to an error of the queue as the jobs API does', async () => {
      const { id } = await app().jobs.enqueue('later', 1, { delay: '1h' });
      await app().jobs.cancel(id);
      for (const path of [UNKNOWN_ID, id]) {
        const own = await request(app(), `shop/promote/${path}`, {});
        const api = await app().api.post(`/${path}/promote`);
        expect({ status: own.status, body: own.body }).toEqual({ status: api.status, body: api.body });
      }
      expect(await request(app(), `shop/promote/${UNKNOWN_ID}`, {})).toMatchObject({
        status: 404,
        body: { status: 404, code: 'JOB_NOT_FOUND', message: `there is no job ${UNKNOWN_ID}`, data: {} },
      });
    });

    it.each<[string, object, string]>([
      ['topic', { topic: '', payload: 1 }, 'INVALID_REQUEST'],
      ['max_retries', { topic: 'a', payload: 1, maxRetries: -1 }, 'INVALID_REQUEST'],
      ['payload', { topic: 'a', payload: 'a\0' }, 'INVALID_PAYLOAD'],
    ])('responds with 400 to an invalid %s and names it', async (field, body, code) => {
      expect(await request(app(), 'shop/enqueue', body)).toMatchObject({
        status: 400,
        body: { status: 400, code, data: { [field]: textWith('') } },
      });
    });

    it('responds with 503 and Retry-After to an outage, without the message of the driver', async () => {
      const response = await request(app(), 'shop/throws/outage');
      expect(response).toMatchObject({ status: 503, body: { code: 'QUEUE_UNAVAILABLE', data: {} } });
      expect(response.headers.get('retry-after')).toBe('1');
      expect(JSON.stringify(response.body)).not.toContain('10.1.2.3');
    });

    it.each(['lease', 'source', 'manager'])(
      'responds with 500 without details to an error of the program (%s)',
      async (name) => {
        expect(await request(app(), `shop/throws/${name}`)).toMatchObject({
          status: 500,
          body: { status: 500, code: 'INTERNAL', data: {} },
        });
      },
    );

    it('leaves every other error to Nest', async () => {
      expect(await request(app(), 'shop/throws/nest')).toMatchObject({
        status: 404,
        body: { statusCode: 404, message: 'no such shop', error: 'Not Found' },
      });
      expect((await request(app(), 'shop/throws/other')).body).toEqual({
        statusCode: 500,
        message: 'Internal server error',
      });
    });

    it('ends a response that had started', async () => {
      const response = await fetch(`${app().url}/shop/started`);
      expect([response.status, await response.text()]).toEqual([200, 'begun']);
    });
  });

  describe('beside other filters', () => {
    const apps = useHttpApps(sqliteFile, adapterKind);

    it('leaves other errors to the global filter of the application', async () => {
      @Catch()
      class TeapotFilter implements ExceptionFilter {
        catch(_error: unknown, host: ArgumentsHost): void {
          const response = host.switchToHttp().getResponse<ServerResponse & { raw?: ServerResponse }>();
          (response.raw ?? response).writeHead(418, { 'Content-Type': 'application/json' }).end('{}');
        }
      }
      const app = await apps.listen({
        controllers: [FilteredShopController],
        before: (nest) => nest.useGlobalFilters(new TeapotFilter()),
      });
      expect(await request(app, 'shop/throws/other')).toMatchObject({ status: 418 });
      expect(await request(app, 'shop/throws/outage')).toMatchObject({ status: 503 });
    });

    it('leaves an error of a job to the queue', async () => {
      const app = await apps.listen({
        options: { globalEnhancers: true, maxRetries: 0 },
        providers: [{ provide: APP_FILTER, useClass: JobsErrorFilter }],
        handlers: {
          work: () => {
            throw new QueueUnavailableError('the queue of the handler');
          },
        },
      });
      const { id } = await app.jobs.enqueue('work', null);
      expect(await app.jobAfter('failed', id)).toMatchObject({ lastError: 'the queue of the handler' });
    });
  });
});
