/**
 * @matrix nest-11
 * @never postgres-18
 */

import { Injectable } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { CurrentJob, defineJob, InvalidOptionsError, JobHandler, JobSchedule, Payload } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

const YEARLY = '0 0 1 1 *';
const Digest = defineJob<{ list: string }>('digest');

describe.each(everyKind)('@JobSchedule on $label', (kind) => {
  const apps = useApps(kind);

  it('makes the method the handler, with name and topic Class.method', async () => {
    const ticks: (Date | undefined)[] = [];

    @Injectable()
    class ReportJobs {
      @JobSchedule('* * * * * *', { payload: { day: 1 } })
      nightly(job: JobContext<{ day: number }>): number {
        ticks.push(job.schedule?.tick);
        return job.payload.day;
      }
    }
    const app = await apps.start({ providers: [ReportJobs] });
    await until(() => ticks.length > 0, { message: 'a tick' });
    const [schedule] = await app.jobs.schedules.list();
    expect(schedule).toMatchObject({ name: 'ReportJobs.nightly', topic: 'ReportJobs.nightly', source: 'code' });
    const { items } = await app.jobs.list({ topic: 'ReportJobs.nightly' });
    expect(items.at(-1)).toMatchObject({
      payload: { day: 1 },
      metadata: { $schedule: { name: 'ReportJobs.nightly' } },
    });
  });

  it('beside @JobHandler gives its jobs to that handler', async () => {
    @Injectable()
    class DigestJobs {
      @JobSchedule(YEARLY, { name: 'weekly', payload: { list: 'all' } })
      @JobHandler(Digest)
      send(@Payload('list') list: string, @CurrentJob() job: JobContext<{ list: string }>): string {
        return `${list} ${job.schedule?.name}`;
      }
    }
    const app = await apps.start({ providers: [DigestJobs] });
    await until(async () => (await app.jobs.schedules.list()).length > 0, { message: 'the declaration' });
    const { id, topic } = await app.jobs.schedules.run('weekly');
    expect(topic).toBe('digest');
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'all weekly' });
  });

  it('with a topic gives its jobs to the handler of that topic', async () => {
    @Injectable()
    class Jobs {
      @JobHandler(Digest)
      send(job: JobContext<{ list: string }>): string {
        return job.payload.list;
      }

      @JobSchedule(YEARLY, { topic: Digest, payload: { list: 'a' } })
      @JobSchedule({ every: '365d' }, { name: 'other', topic: 'digest', payload: { list: 'b' } })
      schedules(): void {}
    }
    const app = await apps.start({ providers: [Jobs] });
    await until(async () => (await app.jobs.schedules.list()).length === 2, { message: 'both declarations' });
    const { id } = await app.jobs.schedules.run('other');
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'b' });
    expect((await app.jobs.schedules.list()).map(({ name }) => name)).toEqual(['Jobs.schedules', 'other']);
  });

  it.each<[string, () => unknown]>([
    ['a wrong pattern', () => JobSchedule('61 * * * *')],
    ['an unknown option', () => JobSchedule(YEARLY, { timezone: 'UTC' } as object)],
    ['a wrong name', () => JobSchedule(YEARLY, { name: 'a b' })],
  ])('stops the application for %s', async (_, decorate) => {
    @Injectable()
    class Jobs {
      run(): void {}
    }
    const descriptor = Object.getOwnPropertyDescriptor(Jobs.prototype, 'run')!;
    (decorate() as MethodDecorator)(Jobs.prototype, 'run', descriptor);
    await expect(apps.start({ providers: [Jobs] })).rejects.toThrow(InvalidOptionsError);
  });

  it('stops the application when two declare one name', async () => {
    @Injectable()
    class Jobs {
      @JobSchedule(YEARLY, { name: 'same' })
      one(): void {}

      @JobSchedule(YEARLY, { name: 'same' })
      two(): void {}
    }
    await expect(apps.start({ providers: [Jobs] })).rejects.toThrow('same');
  });

  it('is refused on anything but a method', () => {
    expect(() => JobSchedule(YEARLY)({}, 'x', {})).toThrow(InvalidOptionsError);
  });
});
