/** @matrix postgres-18, typeorm-0.3 */

import type { JobFilter } from 'nestjs-jobs';
import { InvalidOptionsError, UnrecoverableError } from 'nestjs-jobs';
import { useApps, useOneApp } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';
import { some } from './support/matchers.js';

describe.each(everyKind)('list and stats on $label', (kind) => {
  const apps = useApps(kind);

  /** Starts an app with one completed, one failed, one cancelled and two pending jobs. */
  async function start(): Promise<TestApp> {
    const app = await apps.start({
      handlers: {
        mail: () => 'sent',
        'mail.bounce': () => {
          throw new UnrecoverableError('Mailbox of Anna is full');
        },
      },
    });
    const [sent, bounced, dropped] = await app.jobs.enqueueMany(
      ['mail', 'mail.bounce', 'report', 'report', 'other'].map((topic) => ({ topic, payload: topic })),
    );
    await app.jobs.cancel(dropped!.id);
    await Promise.all([app.event('completed', sent!.id), app.event('failed', bounced!.id)]);
    return app;
  }

  it('list returns the newest first and filters by topic, status, search text and creation time', async () => {
    const { jobs } = await start();
    const topics = async (filter?: JobFilter): Promise<string[]> =>
      (await jobs.list(filter)).items.map(({ topic }) => topic);
    expect(await topics()).toEqual(['other', 'report', 'report', 'mail.bounce', 'mail']);
    expect(await topics({ topic: 'report' })).toEqual(['report', 'report']);
    expect(await topics({ topic: ['other', 'mail'] })).toEqual(['other', 'mail']);
    expect(await topics({ status: 'pending' })).toEqual(['other', 'report']);
    expect(await topics({ status: ['failed', 'cancelled'] })).toEqual(['report', 'mail.bounce']);
    expect(await topics({ topic: 'report', status: 'cancelled' })).toEqual(['report']);
    expect(await topics({ due: true })).toEqual(['other', 'report']);
    expect(await topics({ due: false })).toEqual([]);
    expect(await topics({ q: 'mail' })).toEqual(['mail.bounce', 'mail']);
    expect(await topics({ q: 'of anna' })).toEqual(['mail.bounce']);
    const { id, created } = (await jobs.list({ topic: 'mail' })).items[0]!;
    expect(await topics({ q: id })).toEqual(['mail']);
    expect(await topics({ createdFrom: new Date(created.getTime() + 60_000) })).toEqual([]);
    expect(await topics({ createdTo: created })).toEqual([]);
    expect(await topics({ createdFrom: created, createdTo: new Date(created.getTime() + 60_000) })).toHaveLength(5);
  });

  it('list returns each job once over offset and cursor pages while new jobs are enqueued', async () => {
    const { jobs } = await apps.start();
    await jobs.enqueueMany(Array.from({ length: 7 }, (_, n) => ({ topic: 'work', payload: n })));
    expect(await jobs.list({ limit: 2, offset: 3 })).toMatchObject({
      items: [{ payload: 3 }, { payload: 2 }],
      total: 7,
      totalCapped: false,
      limit: 2,
      offset: 3,
    });
    const seen: unknown[] = [];
    let cursor: string | undefined;
    do {
      const page = await jobs.list({ limit: 3, cursor });
      seen.push(...page.items.map(({ payload }) => payload));
      cursor = page.nextCursor ?? undefined;
      await jobs.enqueue('work', 'late');
    } while (cursor);
    expect(seen).toEqual([6, 5, 4, 3, 2, 1, 0]);
  });

  it('list rejects a cursor of another filter, and stats rejects an invalid topic', async () => {
    const { jobs } = await apps.start();
    await jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload })));
    const { nextCursor } = await jobs.list({ limit: 1, topic: 'work' });
    await expect(jobs.list({ limit: 1, topic: 'other', cursor: nextCursor! })).rejects.toThrow(/another filter/);
    expect((await jobs.list({ limit: 2, topic: 'work', cursor: nextCursor! })).items).toHaveLength(2);
    await expect(jobs.stats('')).rejects.toThrow(InvalidOptionsError);
    await expect(jobs.stats('x'.repeat(256))).rejects.toThrow(InvalidOptionsError);
  });

  it('stats counts the jobs of all topics and of one topic', async () => {
    const { jobs } = await start();
    const stats = await jobs.stats();
    expect(stats).toEqual({
      pending: 2,
      retrying: 0,
      processing: 0,
      completed: 1,
      failed: 1,
      cancelled: 1,
      total: 5,
      successRate: 0.5,
      avgExecutionTime: some(Number),
      p50: stats.avgExecutionTime,
      p95: stats.avgExecutionTime,
      p99: stats.avgExecutionTime,
      oldestPendingMs: some(Number),
      countedAt: some(Date),
    });
    expect(stats.oldestPendingMs).toBeGreaterThanOrEqual(0);
    expect(await jobs.stats('report')).toMatchObject({ pending: 1, cancelled: 1, total: 2, successRate: 0 });
    expect(await jobs.stats('mail')).toMatchObject({ completed: 1, total: 1, successRate: 1, oldestPendingMs: null });
    expect(await jobs.stats('nothing')).toMatchObject({ total: 0, successRate: 0, avgExecutionTime: 0, p99: 0 });
  });
});

describe.each(everyKind)('list on $label', (kind) => {
  const app = useOneApp(kind);

  it.each<[string, object, RegExp]>([
    ['an unknown field', { topics: 'a' }, /^topics: unknown option; did you mean 'topic'/],
    ['an empty topic', { topic: '' }, /^topic: expected/],
    ['no topics', { topic: [] }, /^topic: expected/],
    ['a wrong status', { status: 'done' }, /^status: expected .*'completed'.*, got 'done'/],
    ['a limit of 0', { limit: 0 }, /^limit: expected a whole number from 1 to 200, got 0/],
    ['a limit of 201', { limit: 201 }, /^limit: expected/],
    ['a negative offset', { offset: -1 }, /^offset: expected/],
    [
      'an invalid date',
      { createdFrom: new Date(NaN) },
      /^createdFrom: expected a Date between the years 1970 and 9999/,
    ],
    ['a time as text', { createdTo: '2020-01-01' }, /^createdTo: expected a Date between the years 1970 and 9999/],
    ['an invalid cursor', { cursor: 'abc' }, /^cursor: invalid/],
    ['an offset with a cursor', { cursor: 'abc', offset: 1 }, /^offset: contradicts cursor/],
    ['a search with NUL', { q: 'a\u0000' }, /^q: expected/],
  ])('rejects %s', async (_, filter, text) => {
    const error: unknown = await app()
      .jobs.list(filter)
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect((error as Error).message).toMatch(text);
  });
});
