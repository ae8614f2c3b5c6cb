/** @npm-test typeorm-0.3 */

import { randomUUID } from 'node:crypto';
import { readListFilter } from '../../../lib/core/list-filter.js';
import { toErrorKey } from '../../support/error-key.js';
import type { ListFilter } from '../../../lib/core/list-filter.js';
import {
  claimMany,
  claimOne,
  failure,
  insertMany,
  insertOne,
  outcomes,
  settlement,
  TOPIC,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const EVERYTHING: ListFilter = { ...readListFilter(), limit: 1_000 };

describe.each(storeKinds())('list on $label', (kind) => {
  const fixture = useStore(kind);

  const listIds = async (query: Partial<ListFilter> = {}): Promise<string[]> =>
    (await fixture.store.reports.list({ ...EVERYTHING, ...query })).items.map(({ id }) => id);
  const newestFirst = (...ids: string[]): string[] => ids.toSorted().toReversed();

  const failed = async (message: string, topic = TOPIC): Promise<string> => {
    const token = await claimOne(fixture.store, { topic });
    await fixture.store.settle([settlement(token, { kind: 'failed', failure: failure(message) })]);
    return token.id;
  };

  it('counts and lists only the jobs that have not changed since a time', async () => {
    const ids = await insertMany(fixture.store, 3);
    const asOf = await fixture.store.reports.now();
    await insertMany(fixture.store, 2);
    const { items, total } = await fixture.store.reports.list({ ...EVERYTHING, limit: 2, asOf });
    expect(items.map(({ id }) => id)).toEqual(newestFirst(...ids).slice(0, 2));
    expect(total).toBe(3);
  });

  it('returns complete jobs, newest first, with their total', async () => {
    const ids = await insertMany(fixture.store, 3, { payload: '{"a":1}', metadata: '{"b":2}' });
    const { items, total, totalCapped } = await fixture.store.reports.list(EVERYTHING);
    expect(items.map(({ id }) => id)).toEqual(newestFirst(...ids));
    expect(items[0]).toEqual(await fixture.job(items[0]!.id));
    expect({ total, totalCapped }).toEqual({ total: 3, totalCapped: false });
  });

  it('returns nothing for an empty table', async () => {
    expect(await fixture.store.reports.list(EVERYTHING)).toEqual({
      items: [],
      last: null,
      total: 0,
      totalCapped: false,
      search: null,
    });
  });

  it('filters by topics', async () => {
    const mail = await insertOne(fixture.store);
    const sms = await insertOne(fixture.store, { topic: 'sms' });
    await insertOne(fixture.store, { topic: 'push' });
    expect(await listIds({ topics: ['sms'] })).toEqual([sms]);
    expect(await listIds({ topics: [TOPIC, 'sms'] })).toEqual([sms, mail]);
    expect(await listIds({ topics: ['none'] })).toEqual([]);
    expect(await listIds({ topics: ['s%', 'SMS'] })).toEqual([]);
  });

  it('filters by statuses', async () => {
    const [completed, running, gone] = await claimMany(fixture.store, 3);
    await fixture.store.settle([settlement(completed!, outcomes.completed()), settlement(gone!, outcomes.cancelled())]);
    const waiting = await insertOne(fixture.store);
    const broken = await failed('x', 'sms');
    expect(await listIds({ statuses: ['completed'] })).toEqual([completed!.id]);
    expect(await listIds({ statuses: ['processing', 'pending'] })).toEqual(newestFirst(running!.id, waiting));
    expect(await listIds({ statuses: ['failed', 'cancelled'] })).toEqual(newestFirst(gone!.id, broken));
  });

  it('filters pending jobs by due, and ignores the runAt of other jobs', async () => {
    const running = await claimOne(fixture.store);
    const [due, other] = await insertMany(fixture.store, 2);
    const tomorrow = await insertOne(fixture.store, { delayMs: 86_400_000 });
    const retried = await claimOne(fixture.store, { topic: 'sms' });
    await fixture.store.settle([settlement(retried, outcomes.retry(60_000))]);
    await fixture.set(running.id, { run_at: { msFromNow: 60_000 } });
    const waiting = { statuses: ['pending'] } as const;
    expect(await listIds({ ...waiting, due: true })).toEqual([other, due]);
    expect(await listIds({ ...waiting, due: false })).toEqual([retried.id, tomorrow]);
    expect(await listIds({ ...waiting, due: false, topics: ['sms'] })).toEqual([retried.id]);
    expect(await listIds({ ...waiting, due: false, q: tomorrow })).toEqual([tomorrow]);
    expect(await listIds({ ...waiting, due: true, q: tomorrow })).toEqual([]);
    expect((await fixture.store.reports.list({ ...EVERYTHING, ...waiting, due: false })).total).toBe(2);
  });

  it('filters by creation time, from inclusive, to exclusive', async () => {
    const ids = await insertMany(fixture.store, 3);
    const moment = new Date('2024-05-06T07:08:09.123Z');
    const at = (ms: number): Date => new Date(moment.getTime() + ms);
    for (const [index, ms] of [-1, 0, 1].entries()) {
      await fixture.set(ids[index]!, { created: at(ms) });
    }
    expect(await listIds({ createdFrom: moment })).toEqual([ids[2], ids[1]]);
    expect(await listIds({ createdTo: moment })).toEqual([ids[0]]);
    expect(await listIds({ createdFrom: at(-1), createdTo: at(1) })).toEqual([ids[1], ids[0]]);
    expect(await listIds({ createdFrom: at(2) })).toEqual([]);
  });

  it('lists failed and cancelled jobs by their end, exact to what the database stores', async () => {
    const [first, second, third] = await insertMany(fixture.store, 3);
    const cancelled = await insertOne(fixture.store, { topic: 'sms' });
    const completed = await claimOne(fixture.store, { topic: 'push' });
    await fixture.store.settle([settlement(completed, outcomes.completed())]);
    const end = async (id: string, status: string, digits: string): Promise<void> => {
      const time = kind.locksRows ? `2024-05-06 07:08:09.${digits}+00` : `2024-05-06 07:08:09.${digits.slice(0, 3)}`;
      await fixture.sql(`UPDATE _jobs SET status = '${status}', finished = '${time}' WHERE id = '${id}'`);
    };
    await end(first!, 'failed', '123457');
    await end(second!, 'failed', '123456');
    await end(third!, 'failed', '122000');
    await end(cancelled, 'cancelled', '124000');
    const byEnd = kind.locksRows
      ? [cancelled, first, second, third]
      : [cancelled, ...newestFirst(first!, second!), third];
    const walked: string[] = [];
    for (let query = readListFilter({ order: 'finished', limit: 1 }), isLast = false; !isLast;) {
      const { items, last, total } = await fixture.store.reports.list(query);
      walked.push(...items.map(({ id }) => id));
      expect(total).toBe(4);
      isLast = last === null;
      query = { ...query, beforeId: last?.id ?? null, beforeFinished: last?.finished ?? null };
    }
    expect(walked).toEqual(byEnd);
    expect(await listIds(readListFilter({ finishedFrom: new Date('2024-05-06T07:08:09.123Z') }))).toEqual(
      byEnd.slice(0, 3),
    );
    expect(await listIds(readListFilter({ finishedTo: new Date('2024-05-06T07:08:09.123Z') }))).toEqual([third]);
    expect(await listIds(readListFilter({ order: 'finished', status: 'cancelled' }))).toEqual([cancelled]);
    expect(await listIds(readListFilter({ order: 'finished', topic: 'push' }))).toEqual([]);
  });

  describe('a search', () => {
    it('finds a job by its exact id, in any case', async () => {
      const [id] = await insertMany(fixture.store, 3);
      expect(await listIds({ q: id! })).toEqual([id]);
      expect(await listIds({ q: id!.toUpperCase() })).toEqual([id]);
      expect(await listIds({ q: id!.slice(0, -1) })).toEqual([]);
    });

    it('finds jobs by a part of their topic, in any case', async () => {
      const digest = await insertOne(fixture.store, { topic: 'MAIL_digest' });
      const mail = await insertOne(fixture.store, { topic: 'email' });
      await insertOne(fixture.store, { topic: 'sms' });
      const odd = await insertOne(fixture.store, { topic: 'ma%l' });
      expect(await listIds({ q: 'mail' })).toEqual([mail, digest]);
      expect(await listIds({ q: 'Mail' })).toEqual([mail, digest]);
      expect(await listIds({ q: 'mail_' })).toEqual([digest]);
      expect(await listIds({ q: 'ma%' })).toEqual([odd]);
      expect(await listIds({ q: 'ma?l' })).toEqual([]);
      expect(await listIds({ q: '_' })).toEqual([digest]);
    });

    it('finds failed jobs by a part of their error, in any case of ASCII letters', async () => {
      const refused = await failed('connect ECONNREFUSED 10.0.0.1:25');
      const odd = await failed("100% of 'them' \\ [x] _y_ größer");
      expect(await listIds({ q: 'econnrefused' })).toEqual([refused]);
      expect(await listIds({ q: 'CONNECT' })).toEqual([refused]);
      for (const part of ['100%', "'them'", '\\', '[x]', '_y_', 'größer']) {
        expect(await listIds({ q: part })).toEqual([odd]);
      }
      expect(await listIds({ q: 'x]x' })).toEqual([]);
      expect(await listIds({ q: '%' })).toEqual([odd]);
    });

    it('finds jobs that wait for a retry by a part of their error', async () => {
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, { kind: 'retry', delayMs: 0, failure: failure('no route') })]);
      expect(await listIds({ q: 'NO ROUTE' })).toEqual([token.id]);
      expect(await listIds({ q: 'no route', statuses: ['pending'] })).toEqual([token.id]);
      expect(await listIds({ q: 'no route', statuses: ['failed'] })).toEqual([]);
    });

    describe('in contents', () => {
      const insert = async (
        payload: unknown,
        metadata: unknown = null,
        uniqueKey: string | null = null,
      ): Promise<string> =>
        insertOne(fixture.store, {
          payload: JSON.stringify(payload),
          metadata: metadata === null ? null : JSON.stringify(metadata),
          uniqueKey,
        });

      it('finds a member of the payload or of the metadata by its whole value', async () => {
        const number = await insert({ orderId: 20_231, done: false, share: 0.5 });
        const text = await insert({ orderId: '20231' }, { tenant: 'Shop A', 'größe-x': 1 });
        await insert({ orderId: 202_312, list: [{ orderId: 20_231 }], sub: { orderId: 20_231 } });
        expect(await listIds({ q: 'orderId:20231' })).toEqual([text, number]);
        expect(await listIds({ q: 'orderId:"20231"' })).toEqual([text, number]);
        expect(await listIds({ q: 'orderid:20231' })).toEqual([]);
        expect(await listIds({ q: 'share:0.5' })).toEqual([number]);
        expect(await listIds({ q: 'done:false' })).toEqual([number]);
        expect(await listIds({ q: 'tenant:"Shop A"' })).toEqual([text]);
        expect(await listIds({ q: 'tenant:Shop' })).toEqual([]);
        expect(await listIds({ q: 'größe-x:1' })).toEqual([text]);
        expect(await listIds({ q: 'orderId:20231', topics: ['sms'] })).toEqual([]);
        expect(await listIds({ q: 'orderId:20231', statuses: ['failed'] })).toEqual([]);
      });

      it('finds a member at a path', async () => {
        const ann = await insert({ customer: { email: 'ann@example.org' } });
        const bob = await insert(null, { customer: { email: 'bob@example.org' } });
        await insert({ 'customer.email': 'ann@example.org', customer: ['ann@example.org'] });
        expect(await listIds({ q: 'customer.email:ann@example.org' })).toEqual([ann]);
        expect(await listIds({ q: 'customer.email:bob@example.org' })).toEqual([bob]);
        expect(await listIds({ q: 'customer.email.x:bob' })).toEqual([]);
      });

      it('finds a part of the payload or of the metadata', async () => {
        const quoted = await insert(['He said "no"\n\\ %_']);
        const named = await insert({ 'X-Größe': { List: [1, 'clip-7.MOV'] } }, { trace: 'AB12' });
        for (const part of ['said "no"', 'no"\n\\', '%_']) {
          expect(await listIds({ q: part })).toEqual([quoted]);
        }
        for (const part of ['x-größe', 'clip-7.mov', 'ab12', 'IST']) {
          expect(await listIds({ q: part })).toEqual([named]);
        }
        expect(await listIds({ q: 'clip_7' })).toEqual([]);
      });

      it('finds a whole unique key', async () => {
        const held = await insert(null, null, 'order-7');
        const done = await claimOne(fixture.store, { topic: 'sms', uniqueKey: 'order-7' });
        await fixture.store.settle([settlement(done, outcomes.completed())]);
        const waits = await insertOne(fixture.store, {
          topic: 'push',
          uniqueKey: 'order-7',
          uniqueMode: { untilStarted: true, forMs: null, debounce: null },
        });
        await insert(null, null, 'order-71');
        const all = newestFirst(held, done.id, waits);
        expect(await listIds({ q: 'order-7' })).toEqual(all);
        expect(await listIds({ q: 'unique:order-7' })).toEqual(all);
        expect(await listIds({ q: 'Order-7' })).toEqual([]);
      });

      it('reads no contents without searchPayloads', async () => {
        await insert({ orderId: 1 }, { a: 'Ann' }, 'order-7');
        for (const q of ['orderId:1', 'ann', 'order-7', 'unique:order-7']) {
          const page = await fixture.store.reports.list({ ...EVERYTHING, q, searchPayloads: false });
          expect(page).toMatchObject({
            items: [],
            totalCapped: true,
            search: { window: 0, oldest: null, complete: false },
          });
        }
      });

      it('skips large payloads', async () => {
        const large = await insert(
          Array.from({ length: 3_000 }, () => randomUUID()),
          null,
          'large',
        );
        const small = await insert('large');
        expect(await listIds({ q: 'large' })).toEqual([small, large]);
        expect(await listIds({ q: '-4' })).toEqual([]);
      });

      it('skips large payloads that take little space, and ends after 16 MiB of them', async () => {
        const [oldest] = await insertMany(fixture.store, 1, { payload: '"oldest"' });
        await insertMany(fixture.store, 102, { payload: JSON.stringify('aB'.repeat(90_000)) });
        const page = await fixture.store.reports.list({ ...EVERYTHING, q: 'aba', limit: 1 });
        expect(page).toMatchObject({ items: [], totalCapped: true, search: { complete: false } });
        expect(page.search!.window).toBeLessThan(103);
        expect(await listIds({ q: oldest! })).toEqual([oldest]);
      });
    });

    it('can be combined with other conditions', async () => {
      const mail = await failed('no route');
      const sms = await failed('no route', 'sms');
      expect(await listIds({ q: 'route' })).toEqual([sms, mail]);
      expect(await listIds({ q: 'route', topics: ['sms'] })).toEqual([sms]);
      expect(await listIds({ q: 'route', topics: ['sms'], statuses: ['completed'] })).toEqual([]);
    });
  });

  describe('an error key', () => {
    const key = toErrorKey(TOPIC, 'no route');

    it('finds failed jobs of a topic with that error', async () => {
      const mail = await failed('no route');
      await failed('no route to host');
      await failed('No Route');
      const sms = await failed('no route', 'sms');
      expect(await listIds({ errorKey: key })).toEqual([mail]);
      expect(await listIds({ errorKey: toErrorKey('sms', 'no route') })).toEqual([sms]);
      expect(await listIds({ errorKey: key, topics: ['sms'] })).toEqual([]);
      expect(await listIds({ errorKey: toErrorKey(TOPIC, 'no') })).toEqual([]);
      expect(await fixture.store.reports.list({ ...EVERYTHING, errorKey: key, limit: 1 })).toMatchObject({ total: 1 });
    });

    it('supports long, unusual and missing messages', async () => {
      const odd = `größer\n"'%_\\ ${'😀'.repeat(400)}`;
      const long = await failed(odd);
      const [none, other] = [await failed('x'), await failed(`${odd} `)];
      await fixture.set(none, { last_error: null });
      expect(await listIds({ errorKey: toErrorKey(TOPIC, odd) })).toEqual([long]);
      expect(await listIds({ errorKey: toErrorKey(TOPIC, '') })).toEqual([none]);
      expect(await listIds({ errorKey: toErrorKey(TOPIC, `${odd} `) })).toEqual([other]);
    });

    it('can be combined with other conditions and selects only failed jobs', async () => {
      const mail = await failed('no route');
      await failed('no route', 'sms');
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, { kind: 'retry', delayMs: 0, failure: failure('no route') })]);
      expect(await listIds({ errorKey: key, topics: [TOPIC] })).toEqual([mail]);
      expect(await listIds({ errorKey: key, topics: [TOPIC], statuses: ['pending'] })).toEqual([]);
      expect(await listIds({ errorKey: key, topics: ['none'] })).toEqual([]);
      const query = { ...EVERYTHING, errorKey: key, topics: [TOPIC] };
      expect(await fixture.store.reports.listIds(query)).toMatchObject({ ids: [mail] });
    });
  });

  describe('pages', () => {
    it('contain each job of the start once while jobs are added and deleted', async () => {
      const ids = await insertMany(fixture.store, 53);
      const seen: string[] = [];
      for (let beforeId: string | null = null; ;) {
        const page = await listIds({ limit: 10, beforeId });
        seen.push(...page);
        await insertMany(fixture.store, 3);
        await fixture.store.delete([page.at(-1) ?? '00000000-0000-7000-8000-000000000000']);
        if (page.length < 10) {
          break;
        }
        beforeId = page.at(-1)!;
      }
      expect(seen).toEqual(newestFirst(...ids));
    });

    it('match the filter', async () => {
      const ids = await insertMany(fixture.store, 5, { topic: 'sms' });
      await insertMany(fixture.store, 5);
      const more = await insertMany(fixture.store, 5, { topic: 'sms' });
      expect(await listIds({ topics: ['sms'], limit: 3, beforeId: more[1]! })).toEqual([more[0], ids[4], ids[3]]);
    });

    it('can be selected by an offset', async () => {
      const ids = newestFirst(...(await insertMany(fixture.store, 7)));
      expect(await listIds({ limit: 3, offset: 2 })).toEqual(ids.slice(2, 5));
      expect(await listIds({ limit: 3, offset: 6 })).toEqual(ids.slice(6));
      expect(await listIds({ limit: 3, offset: 7 })).toEqual([]);
    });

    it('can be read after thousands of jobs', async () => {
      const ids: string[] = [];
      for (let batch = 0; batch < 5; batch += 1) {
        ids.push(...(await insertMany(fixture.store, 900)));
        ids.push(...(await insertMany(fixture.store, 100, { topic: 'sms' })));
      }
      await insertMany(fixture.store, 1, { topic: 'other' });
      ids.sort().reverse();
      for (const offset of [1_999, 2_000, 2_001, 4_990]) {
        expect(await listIds({ topics: [TOPIC, 'sms'], limit: 10, offset })).toEqual(ids.slice(offset, offset + 10));
        expect(await listIds({ limit: 10, offset: offset + 1 })).toEqual(ids.slice(offset, offset + 10));
      }
      expect(await listIds({ topics: [TOPIC, 'sms'], limit: 10, offset: 5_000 })).toEqual([]);
      expect(await listIds({ limit: 10, offset: 9_000 })).toEqual([]);
    });

    it('have the total of matching jobs on every page', async () => {
      const ids = await insertMany(fixture.store, 7);
      await insertMany(fixture.store, 2, { topic: 'sms' });
      const query = { ...EVERYTHING, topics: [TOPIC], limit: 2 };
      expect(await fixture.store.reports.list({ ...query, offset: 5 })).toMatchObject({ total: 7, totalCapped: false });
      expect(await fixture.store.reports.list({ ...query, beforeId: ids[0]! })).toMatchObject({ items: [], total: 7 });
    });

    it('have an approximate total above ten thousand', async () => {
      for (let batch = 0; batch < 5; batch += 1) {
        await insertMany(fixture.store, 2_000);
      }
      const query = { ...EVERYTHING, limit: 1 };
      expect(await fixture.store.reports.list(query)).toMatchObject({ total: 10_000, totalCapped: false });
      await insertOne(fixture.store);
      expect(await fixture.store.reports.list(query)).toMatchObject({ total: 10_000, totalCapped: true });
    });
  });
});
