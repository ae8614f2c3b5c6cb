import type { JobStore, StoreHints } from '../../../lib/store/job-store.js';
import { claimOne, insertOne, newJob, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

/** What a listener was told, in its order: topics, `any`, and `cancel`. */
class Heard implements StoreHints {
  readonly words: string[] = [];
  stop!: () => Promise<void>;

  static async on(store: JobStore): Promise<Heard> {
    const heard = new Heard();
    heard.stop = await store.listen(heard);
    return heard;
  }

  onJobs(topic = 'any'): void {
    this.words.push(topic);
  }

  onCancel(): void {
    this.words.push('cancel');
  }
}

/** Does something, and waits until the listener is told one of the words because of it. */
async function expectToHear(heard: Heard, words: readonly string[], action: () => unknown): Promise<void> {
  const before = heard.words.length;
  await action();
  await until(() => heard.words.slice(before).some((word) => words.includes(word)), { message: words.join(' or ') });
}

const shared = storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections);

describe.each(shared)('hints between processes on $label', (kind) => {
  const fixture = useStore(kind);

  it('arrive for a job that another process has enqueued', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    await expectToHear(heard, [TOPIC, 'any'], () => insertOne(other));
    await heard.stop();
  });

  it("arrive for a job that another process has committed in the application's transaction", async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other, app } = await fixture.openAnother();
    const job = newJob();
    await expectToHear(heard, [TOPIC, 'any'], async () => {
      await app.transaction((manager) => other.insert([job], manager));
      other.announce([TOPIC]);
    });
    expect(await fixture.job(job.id)).toMatchObject({ status: 'pending' });
    await heard.stop();
  });

  it('name each topic of jobs that were enqueued in quick succession', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const topics = Array.from({ length: 20 }, (_, index) => `topic "${index}"`);
    const before = heard.words.length;
    for (const topic of topics) await insertOne(other, { topic });
    const isHeard = (topic: string): boolean => heard.words.slice(before).some((word) => [topic, 'any'].includes(word));
    await until(() => topics.every(isHeard));
    // Where notifications carry them, nobody else is woken by them.
    expect(heard.words.slice(before).includes('any')).toBe(!kind.hasNotifications);
    await heard.stop();
  });

  it('are all sent before the store closes', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    await expectToHear(heard, ['second', 'any'], async () => {
      await insertOne(other, { topic: 'first' });
      await insertOne(other, { topic: 'second' });
      await other.close();
    });
    await heard.stop();
  });

  it('arrive for a cancel request of a running job', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const token = await claimOne(fixture.store);
    await expectToHear(heard, ['cancel'], () => other.cancel([token.id]));
    expect(await fixture.store.cancelRequests([token])).toHaveLength(1);
    await heard.stop();
  });

  it('reach every listener that has not stopped', async () => {
    const stopped = await Heard.on(fixture.store);
    const { store: second } = await fixture.openAnother();
    const { store: sender } = await fixture.openAnother();
    const listening = [await Heard.on(fixture.store), await Heard.on(second)];
    await stopped.stop();
    await stopped.stop();
    const before = [...stopped.words];
    for (const heard of listening) {
      await expectToHear(heard, [TOPIC, 'any'], () => insertOne(sender));
    }
    expect(stopped.words).toEqual(before);
    await Promise.all(listening.map((heard) => heard.stop()));
  });
});

describe.each(storeKinds().filter(({ hasNotifications }) => hasNotifications))('notifications on $label', (kind) => {
  const fixture = useStore(kind);

  it('are ignored by the process that sends them', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const elsewhere = await Heard.on(other);
    const before = heard.words.length;
    await expectToHear(elsewhere, [TOPIC], () => insertOne(fixture.store));
    await expectToHear(elsewhere, ['sms'], () => fixture.store.announce(['sms']));
    await expectToHear(heard, ['fax'], () => other.announce(['fax']));
    expect(heard.words.slice(before)).toEqual(['fax']);
    await Promise.all([heard, elsewhere].map((listening) => listening.stop()));
  });

  it('name their topics, or none when there are too many', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: first } = await fixture.openAnother();
    const topics = ['sms', 'a "quoted" one', 'ß'.repeat(255)];
    const before = heard.words.length;
    await expectToHear(heard, topics.slice(-1), () => first.announce(topics));
    expect(heard.words.slice(before)).toEqual(topics);
    const { store: second } = await fixture.openAnother();
    await expectToHear(heard, ['any'], () =>
      second.announce(topics.flatMap((topic) => [...'abcdefghijklmnop'].map((letter) => letter + topic.slice(1)))),
    );
    await heard.stop();
  });

  it('are not sent without topics, nor for the cancel of a waiting job', async () => {
    const { store: other } = await fixture.openAnother();
    const waiting = await insertOne(other, { delayMs: 60_000 });
    const heard = await Heard.on(fixture.store);
    const before = heard.words.length;
    other.announce([]);
    await other.cancel([waiting]);
    await expectToHear(heard, ['sms'], () => other.announce(['sms']));
    expect(heard.words.slice(before)).toEqual(['sms']);
    await heard.stop();
  });

  it('are sent by an insert that stored a job, and not by one that stored none', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    await expectToHear(heard, [TOPIC], () => insertOne(other, { uniqueKey: 'once' }));
    const before = heard.words.length;
    await insertOne(other, { uniqueKey: 'once' });
    await expectToHear(heard, ['sms'], () => other.announce(['sms']));
    expect(heard.words.slice(before)).toEqual(['sms']);
    await heard.stop();
  });

  it('are merged: a thousand announcements at once send at most two', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const before = heard.words.length;
    for (let count = 0; count < 1_000; count += 1) {
      other.announce([TOPIC]);
    }
    await until(() => {
      other.announce(['sms']);
      return heard.words.includes('sms');
    });
    const told = heard.words.slice(before, heard.words.indexOf('sms'));
    expect(told.length).toBeGreaterThanOrEqual(1);
    expect(told.length).toBeLessThanOrEqual(2);
    await heard.stop();
  });

  it('arrive again within five seconds after an administrator has closed the connection', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const since = performance.now();
    const terminate = (): Promise<object[]> =>
      fixture.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`,
      );
    // A new connection begins with hints, since some may have been missed meanwhile.
    const before = heard.words.length;
    expect(await terminate()).toHaveLength(1);
    await until(() => heard.words.slice(before).includes('any') && heard.words.slice(before).includes('cancel'), {
      timeoutMs: 5_000,
      message: 'the hints of a new connection',
    });
    await expectToHear(heard, ['sms'], () => other.announce(['sms']));
    expect(performance.now() - since).toBeLessThan(5_000);
    await heard.stop();
  });

  it('do not delay the stop of a listener that has lost its connection', async () => {
    const heard = await Heard.on(fixture.store);
    await fixture.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`,
    );
    await heard.stop();
    const listeners = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'
      AND pid <> pg_backend_pid()`;
    await until(async () => (await fixture.sql(listeners)).length === 0, { message: 'the end of all listeners' });
    expect(await fixture.store.find([])).toEqual([]);
  });
});

const alone = storeKinds().filter(({ canHaveTwoConnections }) => !canHaveTwoConnections);

describe.each(alone)('hints on $label', (kind) => {
  const fixture = useStore(kind);

  it('are never sent, since there are no other processes', async () => {
    const heard = await Heard.on(fixture.store);
    await insertOne(fixture.store);
    fixture.store.announce([TOPIC]);
    await heard.stop();
    expect(heard.words).toEqual([]);
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('hints beside reports on $label', (kind) => {
  const fixture = useStore(kind);

  it('do not wait for slow reports', async () => {
    const heard = await Heard.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const token = await claimOne(fixture.store);
    const transaction = await fixture.begin();
    await transaction.manager.query('LOCK TABLE _jobs_rollup');
    let isOver = false;
    const report = other.reports.timeseries(['a topic'], 1).catch(() => undefined);
    void report.then(() => (isOver = true));
    await expectToHear(heard, ['cancel'], () => other.cancel([token.id]));
    await expectToHear(heard, [TOPIC, 'any'], () => other.announce([TOPIC]));
    expect(isOver).toBe(false);
    await transaction.rollback();
    await report;
    await heard.stop();
  });
});
