/** @matrix postgres-18 */

import type { Type } from '@nestjs/common';
import { GuideCode } from '../support/guide-code.js';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';

const guide = new GuideCode('guide/schedules.md');
const load = (name: string): Type<object> => guide.exportOf<Type<object>>(name);

interface CustomerReports {
  enable(customerId: number, tz: string): Promise<void>;
  disable(customerId: number): Promise<void>;
}

describe.each([postgres, sqliteFile])('the schedules of the guide, on $label:', (kind) => {
  const apps = useApps(kind);
  beforeEach(() => void jest.spyOn(console, 'log').mockReturnValue(undefined));
  afterEach(() => jest.restoreAllMocks());

  it('the classes declare their schedules, and each runs', async () => {
    const classes = ['ReportJobs', 'BackupJobs', 'DigestJobs', 'InvoiceJobs', 'SyncJobs'];
    const fetched = jest.spyOn(globalThis, 'fetch').mockResolvedValue(new Response());
    const app = await apps.start({ providers: classes.map(load) });
    const expected = {
      'BackupJobs.backup': { timeoutMs: 3_600_000, maxRetries: 1, payload: { keep: 28 } },
      'InvoiceJobs.bill': { missed: { policy: 'all', withinMs: 604_800_000, max: 7 } },
      'ReportJobs.nightly': { tz: 'Europe/Berlin', topic: 'ReportJobs.nightly' },
      'SyncJobs.sync': { overlap: 'skip' },
      daily_digest: { topic: 'send_digest' },
      weekly_digest: { topic: 'send_digest' },
    };
    const names = Object.keys(expected);
    await until(async () => (await app.jobs.schedules.list()).length === names.length, { message: 'six schedules' });
    for (const [name, members] of Object.entries(expected)) {
      expect(await app.jobs.schedules.get(name)).toMatchObject({ source: 'code', isDeclared: true, ...members });
      const { id } = await app.jobs.schedules.run(name);
      expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 1 });
    }
    const { items } = await app.jobs.list({ topic: 'ReportJobs.nightly' });
    expect(items[0]!.result).toMatch(/^report of \d{4}-/);
    expect(fetched).toHaveBeenCalled();
    expect(console.log).toHaveBeenCalledWith('digest of', 'weekly');
  });

  it('a service creates and removes a schedule for each customer', async () => {
    const reports = load('CustomerReports');
    const app = await apps.start({ providers: [reports] });
    const service = app.module.get<CustomerReports>(reports);
    await service.enable(7, 'Asia/Kathmandu');
    await service.enable(7, 'Asia/Kathmandu');
    expect(await app.jobs.schedules.list()).toMatchObject([
      { name: 'report-7', revision: 1, source: 'api', payload: { customerId: 7 }, jitterMs: 900_000 },
    ]);
    await service.disable(7);
    expect(await app.jobs.schedules.list()).toEqual([]);
  });
});
