/** @never postgres-18 */

import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { JobsService } from 'nestjs-jobs';
import type { DataSource } from 'typeorm';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';

const guide = new GuideCode('guide/recipes.md');

describe.each([postgres, sqliteFile])('the recipes of the guide, on $label:', (kind) => {
  const apps = useApps(kind);

  it('forget deletes the jobs of one customer', async () => {
    const forget = guide.exportOf<(jobs: JobsService, of: DataSource, id: number) => Promise<number>>('forget');
    const app = await apps.start();
    await Promise.all([5, 6, 5].map((customerId) => app.jobs.enqueue('mail', { customerId })));
    expect(await forget(app.jobs, app.dataSource, 5)).toBe(2);
    expect(await forget(app.jobs, app.dataSource, 5)).toBe(0);
    expect((await app.jobs.list()).items.map(({ payload }) => payload)).toEqual([{ customerId: 6 }]);
  });
});

describe('the token guard of the guide', () => {
  const Guard = guide.exportOf<new (config: { getOrThrow(): string }) => CanActivate>('QueueTokenGuard');
  const guard = new Guard({ getOrThrow: () => 's3cret' });
  const authorize = (authorization?: string): unknown =>
    guard.canActivate({
      switchToHttp: () => ({ getRequest: () => ({ headers: { authorization } }) }),
    } as unknown as ExecutionContext);

  it('accepts the token and rejects everything else', () => {
    expect(authorize('Bearer s3cret')).toBe(true);
    for (const wrong of [undefined, '', 'Bearer ', 'Bearer s3cretx', 's3cret']) {
      expect(() => authorize(wrong)).toThrow('Unauthorized');
    }
  });
});
