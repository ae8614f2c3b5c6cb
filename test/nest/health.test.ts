/** @matrix postgres-18, nest-11 */

import type { INestApplication } from '@nestjs/common';
import { Controller, Get, Inject } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import type { HealthCheckResult } from '@nestjs/terminus';
import type { HealthOptions, JobStore } from 'nestjs-jobs';
import { JobsHealthIndicator } from 'nestjs-jobs';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/wait.js';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';
import { textWith } from './support/matchers.js';

let limits: HealthOptions = {};

@Controller()
class HealthController {
  constructor(
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(JobsHealthIndicator) private readonly jobs: JobsHealthIndicator,
  ) {}

  @Get('health')
  @HealthCheck()
  check(): Promise<HealthCheckResult> {
    return this.health.check([() => this.jobs.check('jobs', limits)]);
  }
}

const parts: AppParts = { imports: [TerminusModule], controllers: [HealthController] };

async function get(app: INestApplication): Promise<{ status: number; body: HealthCheckResult }> {
  const response = await fetch(`${await app.getUrl()}/health`);
  return { status: response.status, body: (await response.json()) as HealthCheckResult };
}

beforeEach(() => (limits = {}));

describe.each([postgres, sqliteFile])('JobsHealthIndicator with @nestjs/terminus on $label', (kind) => {
  const apps = useApps(kind);
  const listen = async (more: AppParts = {}): Promise<TestApp> => {
    const test = await apps.create({ ...parts, ...more });
    await test.app.listen(0);
    return test;
  };

  it('is up while the database replies and the loops run', async () => {
    const { app } = await listen({ handlers: { work: () => null } });
    expect(await get(app)).toMatchObject({
      status: 200,
      body: { status: 'ok', info: { jobs: { status: 'up', database: 'up', loops: 'up' } } },
    });
  });

  it('checks the backlog and the workers on request', async () => {
    const { app, jobs } = await listen({ handlers: { work: () => null } });
    await jobs.enqueue('unhandled', null);
    limits = { minWorkers: 1, maxOldest: '1h' };
    expect(await get(app)).toMatchObject({ status: 200, body: { details: { jobs: { status: 'up', workers: 1 } } } });
    limits = { minWorkers: 2, maxOldest: 0 };
    await until(async () => /waited/.test(JSON.stringify(await get(app))));
    expect(await get(app)).toMatchObject({
      status: 503,
      body: {
        error: { jobs: { status: 'down', database: 'up', message: textWith('expected at most 0 ms; 1 live workers') } },
      },
    });
    await jobs.pause('unhandled');
    limits = { maxOldest: 0 };
    expect((await get(app)).status).toBe(200);
  });

  it('is down while a loop makes no progress for a lease', async () => {
    const { app, jobs, module } = await listen({ options: { lease: '1s' }, handlers: { work: () => null } });
    const { engine } = module.get<unknown, { engine: { store: JobStore } }>(JobsHealthIndicator);
    const { store } = engine;
    let resume: () => void = () => undefined;
    const hanging = new Promise<void>((resolve) => (resume = resolve));
    const claim = store.claim.bind(store);
    jest.spyOn(store, 'claim').mockImplementation((request) => hanging.then(() => claim(request)));
    const { id } = await jobs.enqueue('work', null);
    await until(async () => (await get(app)).status === 503);
    expect((await get(app)).body.error).toMatchObject({
      jobs: { status: 'down', database: 'up', loops: 'down', message: 'no progress for 1000 ms: claiming jobs' },
    });
    resume();
    await until(async () => (await jobs.get(id))!.status === 'completed');
    await until(async () => (await get(app)).status === 200);
  });

  it('is down before the start and after the end of the queue, except in a producer', async () => {
    const worker = await apps.create(parts);
    const indicator = worker.module.get(JobsHealthIndicator, { strict: false });
    expect(await indicator.check()).toMatchObject({ jobs: { status: 'down', database: 'up', loops: 'down' } });
    await worker.app.init();
    expect(await indicator.check('queue')).toMatchObject({ queue: { status: 'up' } });
    await worker.jobs.stop();
    expect(await indicator.check()).toMatchObject({ jobs: { status: 'down', loops: 'down' } });
    await worker.close();
    const producer = await apps.start({ ...parts, options: { role: 'producer' } });
    const other = producer.module.get(JobsHealthIndicator, { strict: false });
    expect(await other.check()).toEqual({ jobs: { status: 'up', database: 'up', loops: 'up' } });
    await expect(other.check('jobs', { minWorker: 1 } as HealthOptions)).rejects.toThrow("did you mean 'minWorkers'?");
  });
});

describe('JobsHealthIndicator without a database', () => {
  const apps = useApps(postgres);

  it('is down while the database is away, and up again', async () => {
    const proxy = TcpProxy.before((apps.address as { url: string }).url);
    await proxy.open();
    apps.afterEverything(() => proxy.close());
    const { app } = await apps.create({ ...parts, typeOrm: { url: proxy.url } });
    await app.listen(0);
    expect((await get(app)).status).toBe(200);
    await proxy.close();
    limits = { minWorkers: 1 };
    expect(await get(app)).toMatchObject({
      status: 503,
      body: { error: { jobs: { status: 'down', database: 'down' } } },
    });
    await proxy.open();
    await until(async () => (await get(app)).status === 200);
  });
});
