import { randomUUID } from 'node:crypto';
import { OPTIONS } from '../../lib/core/options.js';
import type { BulkDto, JobDto, JobPageDto } from '../../lib/http/job-serializer.js';
import { claimMany, insertMany, insertOne, outcomes, settlement } from '../support/job-rows.js';
import { useStore } from '../support/stores.js';
import { reachableKinds, readJson, runCommand, toUrl } from './support/command.js';

const DAY = 86_400_000;

describe.each(reachableKinds())('on $label,', (kind) => {
  const fixture = useStore(kind);
  const url = (): string => toUrl(fixture.app);
  const run = (args: string[], typed?: string): ReturnType<typeof runCommand> =>
    runCommand([...args, '--url', url()], typed === undefined ? {} : { typed });

  const createFailed = async (count: number, topic = 'mail'): Promise<string[]> => {
    const claims = await claimMany(fixture.store, count, { topic });
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.failed())));
    return claims.map(({ id }) => id);
  };
  const statusOf = async (id: string): Promise<string> => (await fixture.job(id)).status;

  it('status counts the jobs, in all and by topic', async () => {
    await insertMany(fixture.store, 3, { topic: 'sync' });
    await createFailed(2);
    const { code, out } = await run(['status']);
    expect(code).toBe(0);
    expect(out).toMatch(/pending +3, oldest due for/);
    expect(out).toMatch(/TOPIC.*FAILED/);
    expect(out).toMatch(/mail +0 +0 +0 +0 +2 .*no live handler/);
    const json = await readJson<{ stats: object; topics: object[] }>(['status', '--topic', 'sync'], url());
    expect(json.stats).toMatchObject({ pending: 3, failed: 0, success_rate: 0 });
    expect(json.topics).toMatchObject([{ topic: 'sync', pending: 3, has_handler: false, paused_since: null }]);
  });

  it('list filters, pages and prints errors', async () => {
    const failed = await createFailed(3);
    await insertOne(fixture.store, { topic: 'sync' });
    const { out } = await run(['list', '--status', 'failed', '--topic', 'mail', '--topic', 'other']);
    expect(out).toMatch(/ID +TOPIC +STATUS/);
    expect(out.match(/no luck/g)).toHaveLength(3);
    expect(out).toContain('3 of 3');
    const filter = ['list', '--topic', 'mail', '--limit', '2'];
    const first = await readJson<JobPageDto>(filter, url());
    const second = await readJson<JobPageDto>([...filter, '--cursor', first.next_cursor!], url());
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual([...failed].reverse());
    expect((await run(['list', '--q', 'no luck', '--status', 'completed'])).out).toBe('no jobs\n');
  });

  it('show prints a job, and shows control characters of its texts', async () => {
    const text = 'red \u001b[31m\u009b31m \u202etxt';
    const id = await insertOne(fixture.store, { payload: JSON.stringify({ text }), topic: 'a\u001b[2Jb\u2066' });
    const { code, out } = await run(['show', id]);
    expect(code).toBe(0);
    expect(out).toContain(id);
    expect(out).toContain('a\\u001b[2Jb\\u2066');
    expect([...'\u001b\u009b\u202e\u2066'].filter((control) => out.includes(control))).toEqual([]);
    const json = await run(['show', id, '--json']);
    expect([...'\u001b\u009b\u202e\u2066'].filter((control) => json.out.includes(control))).toEqual([]);
    expect((JSON.parse(json.out) as JobDto).payload).toEqual({ text });
  });

  it('show prints the log lines and the finished steps of a job', async () => {
    const [token] = await claimMany(fixture.store, 1);
    const line = { line: 1, level: 'warn', message: 'slow\u001b[31m', data: '{"rows":3}', ageMs: 0 } as const;
    await fixture.store.logs.write([{ token: token!, lines: [line] }], 200);
    await fixture.store.steps.record([{ token: token!, step: '{"name":"charge\\u001b","result":7}' }]);
    const { out } = await run(['show', token!.id]);
    expect(out).toMatch(/\nsteps\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ charge\\u001b\n/);
    expect(out).toMatch(/\nlog\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ attempt 1 warn {2}slow\\u001b\[31m \{"rows":3\}\n/);
    const json = await run(['show', token!.id, '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ logs: [{ id: '1.1', level: 'warn', data: { rows: 3 } }] });
  });

  it.each(['show', 'requeue'])('%s of a job that does not exist ends with 1', async (verb) => {
    const id = randomUUID();
    const { code, out, err } = await run([verb, id]);
    expect(code).toBe(1);
    expect(out + err).toMatch(/there is no (such )?job/);
  });

  it('requeue re-queues a job by its id without a question, with changes', async () => {
    const [id] = await createFailed(1);
    const changes = ['--payload', '{"to":"b"}', '--max-retries', '7', '--run-at', '2040-01-01T00:00:00Z'];
    expect(await run(['requeue', id!, ...changes])).toEqual({ code: 0, out: 're-queued 1 job\n', err: '' });
    expect(await fixture.job(id!)).toMatchObject({
      status: 'pending',
      payload: { to: 'b' },
      maxRetries: 7,
      runAt: new Date('2040-01-01T00:00:00Z'),
      actions: [{ action: 'edit', via: 'cli', by: null }],
    });
    await run(['cancel', id!, '--yes']);
    const { out } = await run(['show', id!]);
    expect(out).toMatch(/\nactions\n\S+Z edit by cli\n\S+Z cancel by cli\n/);
  });

  it('requeue by filter asks, and changes nothing without an agreement', async () => {
    const [id] = await createFailed(2);
    const filter = ['requeue', '--status', 'failed', '--topic', 'mail'];
    expect(await run(filter)).toMatchObject({ code: 2, err: expect.stringContaining('pass --yes') as string });
    const refused = await run(filter, 'n\n');
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining('Re-queue 2 jobs? [y/N]') as string });
    expect((await run(filter, '')).code).toBe(1);
    expect(await statusOf(id!)).toBe('failed');
    expect(await run(filter, 'y\n')).toMatchObject({ code: 0, out: 're-queued 2 jobs\n' });
    expect(await statusOf(id!)).toBe('pending');
  });

  it('a dry run counts and changes nothing', async () => {
    const [id] = await createFailed(2);
    const { code, out } = await run(['delete', '--status', 'failed', '--dry-run']);
    expect({ code, out }).toEqual({ code: 0, out: 'would delete 2 jobs\n' });
    expect(await statusOf(id!)).toBe('failed');
  });

  it('given ids that cannot be changed are named, and the command ends with 1', async () => {
    const [failed] = await createFailed(1);
    const waiting = await insertOne(fixture.store);
    const { code, out } = await run(['requeue', failed!, waiting]);
    expect(code).toBe(1);
    expect(out).toBe(`re-queued 1 job\nskipped 1 job: it is pending (${waiting})\n`);
    const json = await readJson<BulkDto>(['requeue', failed!], url(), 1);
    expect(json).toMatchObject({ matched: 1, changed: 0, skipped_reasons: [{ reason: 'it is pending' }] });
  });

  it('requeue --pace spreads the jobs over time', async () => {
    const [first, second] = await createFailed(2);
    const paced = ['requeue', '--status', 'failed', '--pace'];
    expect(await run([...paced, '50'])).toMatchObject({
      code: 2,
      err: expect.stringContaining("such as '50/m'") as string,
    });
    expect((await run([...paced, '1/h', '--yes'])).out).toBe('re-queued 2 jobs\n');
    const times = (await fixture.store.find([first!, second!])).map(({ runAt }) => runAt.getTime());
    expect(Math.abs(times[0]! - times[1]!)).toBe(3_600_000);
    const both = await run(['requeue', first!, '--payload', '1', '--pace', '1/s']);
    expect(both).toMatchObject({ code: 2, err: expect.stringContaining('pace needs several jobs') as string });
  });

  it('cancel and delete ask, also for an id', async () => {
    const [one, other] = await insertMany(fixture.store, 2);
    expect((await run(['cancel', one!])).code).toBe(2);
    expect((await run(['cancel', one!, '-y'])).out).toBe('cancelled or asked to end 1 job\n');
    expect(await statusOf(one!)).toBe('cancelled');
    expect((await run(['delete', other!], 'yes\n')).out).toBe('deleted 1 job\n');
    expect(await fixture.store.find([other!])).toEqual([]);
  });

  it('pause and resume topics', async () => {
    await insertMany(fixture.store, 2);
    expect((await run(['pause', 'mail', 'sync'])).out).toBe(
      "paused 'mail', with 2 jobs waiting\npaused 'sync', with 0 jobs waiting\n",
    );
    expect((await fixture.store.pauses.list()).map(({ topic }) => topic).sort()).toEqual(['mail', 'sync']);
    expect((await run(['status'])).out).toContain('paused since');
    expect((await run(['resume', 'mail', 'sync'])).code).toBe(0);
    expect(await fixture.store.pauses.list()).toEqual([]);
    expect((await run(['pause', 'x'.repeat(300)])).code).toBe(2);
  });

  it('prune deletes jobs over the default ages, or over the given one', async () => {
    const failed = await createFailed(2);
    const [completed] = await claimMany(fixture.store, 1);
    await fixture.store.settle([settlement(completed!, outcomes.completed())]);
    const keyed = await insertOne(fixture.store, { idempotency: { key: 'k', bodyHash: 'h' } });
    await fixture.store.cancel([keyed]);
    const age = (ids: string[], days: number): Promise<void> =>
      fixture.set(ids, { created: { msFromNow: -days * DAY }, finished: { msFromNow: -days * DAY } });
    await age([completed!.id, failed[0]!], 8);
    await age([failed[1]!], 31);
    expect(OPTIONS.retention.default).toEqual({ completed: 7 * DAY, cancelled: 7 * DAY, failed: 30 * DAY });

    expect((await run(['prune', '--dry-run'])).out).toMatch(
      /^would delete 2 jobs \((1 completed, 1 failed|1 failed, 1 completed)\)\n$/,
    );
    expect((await run(['prune'])).code).toBe(2);
    expect((await run(['prune', '--yes'])).out).toBe('deleted 2 jobs\n');
    const old = ['prune', '--older-than', '1d', '--status', 'failed', '--status', 'cancelled', '--yes'];
    expect(await readJson(old, url())).toEqual({ matched: 1, by_status: { failed: 1 }, removed: 1, refused: 0 });
    // A job with an idempotency key is kept for a day.
    expect(await readJson(['prune', '--older-than', '0ms', '--yes'], url())).toMatchObject({ matched: 0, removed: 0 });
    expect(await statusOf(keyed)).toBe('cancelled');
  });
});
