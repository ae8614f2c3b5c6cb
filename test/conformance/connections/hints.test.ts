/** @npm-test postgres-15, memory */

import type { JobStore } from '../../../lib/store/job-store.js';
import type { StoreHints } from '../../../lib/store/runtime/store-hints.js';
import { claimOne, insertOne, newJob, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

/** Records the hints of a listener in order: topics, `any` and `cancel`. */
class RecordingHints implements StoreHints {
  readonly words: string[] = [];
  stop!: () => Promise<void>;

  static async on(store: JobStore): Promise<RecordingHints> {
    const hints = new RecordingHints();
    hints.stop = await store.listen(hints);
    return hints;
  }

  onJobs(topic = 'any'): void {
    this.words.push(topic);
  }

  onCancel(): void {
    this.words.push('cancel');
  }

  onSchedules(isLikely: boolean): void {
    if (isLikely) {
      this.words.push('schedules');
    }
  }

  onWorkers(): void {
    this.words.push('workers');
  }

  onListening(): void {}

  onConnected(): void {}

  onConnectFailed(error: unknown): void {
    throw error;
  }
}

/** Runs an action and waits until the listener receives one of the hints. */
async function expectHint(hints: RecordingHints, words: readonly string[], action: () => unknown): Promise<void> {
  const before = hints.words.length;
  await action();
  await until(() => hints.words.slice(before).some((word) => words.includes(word)), { message: words.join(' or ') });
}

const shared = storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections);

describe.each(shared)('hints between processes on $label', (kind) => {
  const fixture = useStore(kind);

  it('arrive for a job that another process has enqueued', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    await expectHint(hints, [TOPIC, 'any'], () => insertOne(other));
    await hints.stop();
  });

  it("arrive for a job that another process has committed in the application's transaction", async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other, app } = await fixture.openAnother();
    const job = newJob();
    await expectHint(hints, [TOPIC, 'any'], async () => {
      await app.transaction((manager) => other.insert([job], manager));
      other.announce([TOPIC]);
    });
    expect(await fixture.job(job.id)).toMatchObject({ status: 'pending' });
    await hints.stop();
  });

  it('name each topic of jobs that were enqueued in quick succession', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const topics = Array.from({ length: 20 }, (_, index) => `topic "${index}"`);
    const before = hints.words.length;
    for (const topic of topics) await insertOne(other, { topic });
    const hasArrived = (topic: string): boolean =>
      hints.words.slice(before).some((word) => [topic, 'any'].includes(word));
    await until(() => topics.every(hasArrived));
    // Notifications carry topics, so that they wake no other workers.
    expect(hints.words.slice(before).includes('any')).toBe(!kind.hasNotifications);
    await hints.stop();
  });

  it('are all sent before the store closes', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    await expectHint(hints, ['second', 'any'], async () => {
      await insertOne(other, { topic: 'first' });
      await insertOne(other, { topic: 'second' });
      await other.close();
    });
    await hints.stop();
  });

  it('arrive for a cancel request of a running job', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const token = await claimOne(fixture.store);
    await expectHint(hints, ['cancel'], () => other.cancel([token.id]));
    expect(await fixture.store.cancelRequests([token])).toHaveLength(1);
    await hints.stop();
  });

  it('reach every listener that has not stopped', async () => {
    const stopped = await RecordingHints.on(fixture.store);
    const { store: second } = await fixture.openAnother();
    const { store: sender } = await fixture.openAnother();
    const listening = [await RecordingHints.on(fixture.store), await RecordingHints.on(second)];
    await stopped.stop();
    await stopped.stop();
    const before = [...stopped.words];
    for (const hints of listening) {
      await expectHint(hints, [TOPIC, 'any'], () => insertOne(sender));
    }
    expect(stopped.words).toEqual(before);
    await Promise.all(listening.map((hints) => hints.stop()));
  });
});

describe.each(storeKinds().filter(({ hasNotifications }) => hasNotifications))('notifications on $label', (kind) => {
  const fixture = useStore(kind);

  it('are ignored by the process that sends them', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const elsewhere = await RecordingHints.on(other);
    const before = hints.words.length;
    await expectHint(elsewhere, [TOPIC], () => insertOne(fixture.store));
    await expectHint(elsewhere, ['sms'], () => fixture.store.announce(['sms']));
    await expectHint(hints, ['fax'], () => other.announce(['fax']));
    expect(hints.words.slice(before)).toEqual(['fax']);
    await Promise.all([hints, elsewhere].map((listening) => listening.stop()));
  });

  it('name their topics, or none when there are too many', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: first } = await fixture.openAnother();
    const topics = ['sms', 'a "quoted" one', 'ß'.repeat(255)];
    const before = hints.words.length;
    await expectHint(hints, topics.slice(-1), () => first.announce(topics));
    expect(hints.words.slice(before)).toEqual(topics);
    const { store: second } = await fixture.openAnother();
    await expectHint(hints, ['any'], () =>
      second.announce(topics.flatMap((topic) => [...'abcdefghijklmnop'].map((letter) => letter + topic.slice(1)))),
    );
    await hints.stop();
  });

  it('are not sent without topics or for the cancel of a pending job', async () => {
    const { store: other } = await fixture.openAnother();
    const waiting = await insertOne(other, { delayMs: 60_000 });
    const hints = await RecordingHints.on(fixture.store);
    const before = hints.words.length;
    other.announce([]);
    await other.cancel([waiting]);
    await expectHint(hints, ['sms'], () => other.announce(['sms']));
    expect(hints.words.slice(before)).toEqual(['sms']);
    await hints.stop();
  });

  it('are sent only by an insert that stored a job', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    await expectHint(hints, [TOPIC], () => insertOne(other, { uniqueKey: 'once' }));
    const before = hints.words.length;
    await insertOne(other, { uniqueKey: 'once' });
    await expectHint(hints, ['sms'], () => other.announce(['sms']));
    expect(hints.words.slice(before)).toEqual(['sms']);
    await hints.stop();
  });

  it('are merged: a thousand announcements at once send at most two', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const before = hints.words.length;
    for (let count = 0; count < 1_000; count += 1) {
      other.announce([TOPIC]);
    }
    await until(() => {
      other.announce(['sms']);
      return hints.words.includes('sms');
    });
    const told = hints.words.slice(before, hints.words.indexOf('sms'));
    expect(told.length).toBeGreaterThanOrEqual(1);
    expect(told.length).toBeLessThanOrEqual(2);
    await hints.stop();
  });

  it('arrive again after the connection was terminated', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const terminate = (): Promise<object[]> =>
      fixture.sql(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`,
      );
    // A new connection starts with hints, since some may have been missed.
    const before = hints.words.length;
    expect(await terminate()).toHaveLength(1);
    await until(() => hints.words.slice(before).includes('any') && hints.words.slice(before).includes('cancel'), {
      message: 'the hints of a new connection',
    });
    await expectHint(hints, ['sms'], () => other.announce(['sms']));
    await hints.stop();
  });

  it('do not delay the stop of a listener that has lost its connection', async () => {
    const hints = await RecordingHints.on(fixture.store);
    await fixture.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()`,
    );
    await hints.stop();
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
    const hints = await RecordingHints.on(fixture.store);
    await insertOne(fixture.store);
    fixture.store.announce([TOPIC]);
    await hints.stop();
    expect(hints.words).toEqual([]);
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('hints during slow reports on $label', (kind) => {
  const fixture = useStore(kind);

  it('are not delayed', async () => {
    const hints = await RecordingHints.on(fixture.store);
    const { store: other } = await fixture.openAnother();
    const token = await claimOne(fixture.store);
    const transaction = await fixture.begin();
    await transaction.manager.query('LOCK TABLE _jobs_rollup');
    let isOver = false;
    const report = other.reports.timeseries(['a topic'], 1).catch(() => undefined);
    void report.then(() => (isOver = true));
    await expectHint(hints, ['cancel'], () => other.cancel([token.id]));
    await expectHint(hints, [TOPIC, 'any'], () => other.announce([TOPIC]));
    expect(isOver).toBe(false);
    await transaction.rollback();
    await report;
    await hints.stop();
  });
});
