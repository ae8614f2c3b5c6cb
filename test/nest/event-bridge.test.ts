/** @matrix nest-11 */

import type { Type } from '@nestjs/common';
import { Injectable } from '@nestjs/common';
import { EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import type { JobEvent } from 'nestjs-jobs';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';
import { textWith } from './support/matchers.js';
import { waitForAbort } from './support/wait-for-abort.js';

const JobAlerts = new GuideCode('guide/watching-it.md').exportOf<Type<{ failed: string[] }>>('JobAlerts');

@Injectable()
class Listener {
  readonly seen: string[] = [];

  @OnEvent('jobs.*')
  onAny({ type }: JobEvent): void {
    this.seen.push(type);
    throw new Error('of the listener');
  }
}

describe('events.bridge', () => {
  const apps = useApps(sqliteFile);
  const handlers = {
    work: () => null,
    fail: () => {
      throw new Error('no connection');
    },
  };

  it('forwards the events to listeners of @nestjs/event-emitter', async () => {
    const app = await apps.start({
      imports: [EventEmitterModule.forRoot({ wildcard: true })],
      options: { events: { bridge: 'jobs.' }, maxRetries: 0 },
      providers: [Listener, JobAlerts],
      handlers,
    });
    const { id } = await app.jobs.enqueue('fail', null);
    await app.event('failed', id);
    expect(app.module.get(Listener).seen.toSorted()).toEqual(['enqueued', 'failed', 'started']);
    expect(app.module.get(JobAlerts).failed).toEqual([`fail ${id}: no connection`]);
    const other = await app.jobs.enqueue('work', null);
    await app.event('completed', other.id);
  });

  it('forwards the release of a job at shutdown', async () => {
    const app = await apps.start({
      imports: [EventEmitterModule.forRoot({ wildcard: true })],
      options: { events: { bridge: 'jobs.' }, shutdownTimeout: 1 },
      providers: [Listener],
      handlers: { hold: waitForAbort },
    });
    const { id } = await app.jobs.enqueue('hold', null);
    await app.event('started', id);
    const { seen } = app.module.get(Listener);
    await app.close();
    expect(seen.toSorted()).toEqual(['enqueued', 'released', 'started']);
  });

  it('warns without an emitter', async () => {
    const app = await apps.start({ options: { events: { bridge: 'jobs.' } }, handlers });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('completed', id);
    expect(apps.log.of('warn')).toContainEqual(textWith('import EventEmitterModule.forRoot()'));
  });

  it('is off by default', async () => {
    const app = await apps.start({
      imports: [EventEmitterModule.forRoot({ wildcard: true })],
      providers: [Listener],
      handlers,
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('completed', id);
    expect(app.module.get(Listener).seen).toEqual([]);
  });
});
