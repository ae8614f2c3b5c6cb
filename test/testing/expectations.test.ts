import { defineJob, encryptPayloads } from 'nestjs-jobs';
import { useTestedApps } from './support/tested-app.js';

const start = useTestedApps();
const SendMail = defineJob<{ to: string; at?: Date; tags?: string[]; order?: { id: number; total: number } }>('mail');

/** Returns the message of the rejection. */
async function messageOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'it passed',
    (error: Error) => error.message,
  );
}

describe('expectEnqueued', () => {
  it('returns the jobs that match, oldest first, in whatever status', async () => {
    const { testing, jobs } = await start({ handlers: { mail: () => null } });
    await jobs.enqueue(SendMail, { to: 'a', order: { id: 1, total: 5 } });
    await testing.runPending();
    await jobs.enqueue(SendMail, { to: 'b', order: { id: 1, total: 7 } });
    expect(await testing.expectEnqueued(SendMail, { payload: { order: { id: 1 } } })).toMatchObject([
      { payload: { to: 'a' }, status: 'completed' },
      { payload: { to: 'b' }, status: 'pending' },
    ]);
    await testing.expectEnqueued('mail', { count: 2 });
    await testing.expectEnqueued(SendMail, { payload: { to: 'b' }, count: 1 });
    await testing.expectNotEnqueued(SendMail, { payload: { to: 'c' } });
    await testing.expectNotEnqueued('report');
  });

  it('compares plain payloads when a codec encodes them', async () => {
    const codec = encryptPayloads({ current: 'a', keys: { a: Buffer.alloc(32, 1) } });
    const { testing, jobs } = await start({
      options: { codec },
      handlers: { mail: ({ payload }) => payload as unknown },
    });
    await jobs.enqueue(SendMail, { to: 'a' });
    await testing.runPending();
    await testing.expectEnqueued(SendMail, { payload: { to: 'a' }, count: 1 });
    expect(await testing.run(SendMail, { to: 'b' })).toEqual({ to: 'b' });
  });

  it('compares members, lists, dates, matchers, unique keys and due times', async () => {
    const { testing, jobs } = await start();
    const at = new Date('2030-01-01T00:00:00Z');
    const runAt = new Date(Date.now() + 50_000);
    await jobs.enqueue(SendMail, { to: 'a@example.org', at, tags: ['x', 'y'] }, { uniqueKey: 'k', delay: '5m' });
    await jobs.enqueueAt('later', [{ a: 1, b: 2 }], runAt);
    await testing.expectEnqueued(SendMail, { payload: { at, tags: ['x', 'y'] }, uniqueKey: 'k', runAt: '5m' });
    await testing.expectEnqueued(SendMail, { payload: { to: expect.stringContaining('@') as string } });
    await testing.expectEnqueued('mail', { payload: expect.objectContaining({ to: 'a@example.org' }) as object });
    await testing.expectEnqueued('later', { payload: [{ a: 1 }], runAt });
    await testing.expectEnqueued('later', { runAt: expect.any(Date) as Date });
    await testing.expectNotEnqueued('mail', { payload: { tags: ['x'] } });
    await testing.expectNotEnqueued('mail', { payload: { tags: { 0: 'x', 1: 'y' } } });
    await testing.expectNotEnqueued('mail', { payload: null });
    await testing.expectNotEnqueued('mail', { runAt: 300_001 });
    await testing.expectNotEnqueued('mail', { uniqueKey: 'other' });
    await testing.expectNotEnqueued('later', { runAt: new Date(runAt.getTime() + 1) });
  });

  it('finds jobs by their labels, and names those that are missing', async () => {
    const { testing, jobs } = await start();
    await jobs.enqueue('mail', 1, { labels: ['team:billing', 'vip'] });
    await testing.expectEnqueued('mail', { labels: ['vip'], count: 1 });
    await testing.expectEnqueued('mail', { labels: [] });
    await testing.expectNotEnqueued('mail', { labels: ['vip', 'other'] });
    const lines = (await messageOf(testing.expectEnqueued('mail', { labels: ['vip', 'other'] }))).split('\n');
    expect(lines[0]).toMatch(/^expected at least 1 job of 'mail' with labels \["vip","other"\], found 0\./);
    expect(lines[1]).toMatch(/, labels \["team:billing","vip"\]$/);
    expect(lines[2]).toBe('     labels: expected ["other"], got ["team:billing","vip"]');
    await expect(testing.expectEnqueued('mail', { labels: ['no blanks'] })).rejects.toThrow(/labels/);
  });

  it('lists the enqueued jobs when it fails, nearest first', async () => {
    const { testing, jobs } = await start();
    await jobs.enqueue('mial', 1);
    await jobs.enqueue('report', null);
    await jobs.enqueue(SendMail, { to: 'b', order: { id: 2, total: 5 } });
    const { runAt } = await jobs.enqueue(SendMail, { to: 'a', order: { id: 2, total: 5 } }, { uniqueKey: 'k' });
    const message = await messageOf(
      testing.expectEnqueued(SendMail, { payload: { to: 'a', order: { id: 1, total: expect.any(Number) as number } } }),
    );
    const lines = message.split('\n');
    expect(lines[0]).toBe(
      `expected at least 1 job of 'mail' with payload {"to":"a","order":{"id":1,"total":"Any<Number>"}}, found 0. Enqueued jobs, nearest first:`,
    );
    expect(lines.slice(1, 3)).toEqual([
      `  1. 'mail' pending, payload {"to":"a","order":{"id":2,"total":5}}, runAt ${runAt.toISOString()}, uniqueKey 'k'`,
      '     payload.order.id: expected 1, got 2',
    ]);
    expect(lines.filter((line) => /^ {2}\d/.test(line)).map((line) => line.slice(0, 12))).toEqual(
      ["  1. 'mail' ", "  2. 'mail' ", "  3. 'mial' ", "  4. 'report'"].map((text) => text.slice(0, 12)),
    );
    expect(message).toContain("     topic: expected 'mail'");
  });

  it('says how many were expected and found', async () => {
    const { testing, jobs } = await start();
    expect(await messageOf(testing.expectEnqueued('mail'))).toBe(
      "expected at least 1 job of 'mail', found 0; no job was enqueued",
    );
    for (let index = 0; index < 12; index += 1) {
      await jobs.enqueue(SendMail, { to: `${index}` });
    }
    expect(await messageOf(testing.expectEnqueued('mail', { count: 1 }))).toMatch(
      /^expected 1 job of 'mail', found 12\./,
    );
    expect(await messageOf(testing.expectEnqueued('mail', { count: 13 }))).toMatch(/\n {2}and 2 more$/);
    const unwanted = await messageOf(testing.expectNotEnqueued(SendMail, { payload: { to: '3' } }));
    expect(unwanted).toMatch(
      /^expected no job of 'mail' with payload {"to":"3"}, found 1\. .*\n {2}1\. 'mail' pending, payload {"to":"3"}[^\n]*$/,
    );
  });

  it('shortens long payloads', async () => {
    const { testing, jobs } = await start();
    await jobs.enqueue(SendMail, { to: 'x'.repeat(5_000) });
    expect((await messageOf(testing.expectEnqueued('other'))).length).toBeLessThan(600);
  });

  it('rejects unknown names', async () => {
    const { testing } = await start();
    await expect(testing.expectEnqueued('mail', { payloads: 1 } as never)).rejects.toThrow("did you mean 'payload'?");
    await expect(testing.expectEnqueued('mail', { runAt: 'soon' as never })).rejects.toThrow('expected job.runAt');
    await expect(testing.expectEnqueued({} as never)).rejects.toThrow('topic');
  });
});
