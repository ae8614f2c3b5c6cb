import { validate, version } from 'uuid';
import type { Job } from '../../../lib/core/job.js';
import { readListFilter } from '../../../lib/core/list-filter.js';
import type { LinkChanges } from '../../../lib/store/links/link-store.js';
import { declareTopics, handleTopics, orphanDefinitions } from '../../support/declared.js';
import {
  claim,
  claimMany,
  claimOne,
  failure,
  lane,
  outcomes,
  rescue,
  settlement,
  TOPIC,
} from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleAll } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';

const DEAD = 'mail.dead';

describe.each(storeKinds())('dead letters on $label', (kind) => {
  const fixture = useStore(kind);

  const declare = (topic: string, ...topics: string[]): Promise<unknown> =>
    declareTopics(fixture.store, [
      { topic, deadLetters: topics.map((each) => ({ topic: each, maxRetries: 7, priority: -3 })) },
    ]);
  const lettersIn = async (topic = DEAD): Promise<Job[]> => {
    const { items } = await fixture.store.reports.list(readListFilter({ topic }));
    return items.sort((a, b) => (a.id < b.id ? -1 : 1));
  };

  beforeEach(() => declare(TOPIC, DEAD));
  afterEach(async () => {
    for (const table of ['_jobs', '_jobs_topics', '_jobs_definitions', '_jobs_links']) {
      await fixture.sql(`DELETE FROM ${table}`);
    }
  });

  it('tell everything about the failed job, which stays', async () => {
    const payload = JSON.stringify({ to: 'é "x"', many: [1, null, { a: 1.5 }] });
    const metadata = JSON.stringify({
      by: 'app',
      $context: { tenant: 7 },
      $schedule: { name: 's', tick: 't' },
      $group: 'g',
    });
    const token = await claimOne(fixture.store, { payload, metadata, maxRetries: 0 });
    const [settled] = await settleAll(fixture.store, [settlement(token, outcomes.retry())]);
    expect(settled).toMatchObject({ applied: true, status: 'failed' });
    const failed = await fixture.job(token.id);
    const [letter, ...others] = await lettersIn();
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      topic: DEAD,
      status: 'pending',
      attempt: 0,
      retries: 0,
      maxRetries: 7,
      priority: -3,
      metadata: { by: 'app', $context: { tenant: 7 }, $failedJob: { id: token.id, topics: [TOPIC] } },
      payload: {
        id: token.id,
        topic: TOPIC,
        payload: JSON.parse(payload) as unknown,
        metadata: { by: 'app' },
        lastError: failure().message,
        attempt: 1,
        created: failed.created.toISOString(),
        failed: failed.finished!.toISOString(),
      },
    });
    expect(Object.keys(letter!.metadata!).sort()).toEqual(['$context', '$failedJob', 'by']);
    expect(validate(letter!.id) && version(letter!.id)).toBe(7);
    expect(letter!.created).toEqual(letter!.runAt);
    expect(failed).toMatchObject({ status: 'failed', lastError: failure().message });
    expect(failed.metadata).toMatchObject({ by: 'app', $group: 'g', $deadLetters: [{ id: letter!.id, topic: DEAD }] });
  });

  it('are made for each job that fails for good, and for no other outcome', async () => {
    const tokens = await claimMany(fixture.store, 9, { payload: 'null' });
    const cancelled = tokens[8]!;
    await fixture.store.cancel([cancelled.id]);
    await fixture.set(tokens[7]!.id, { retries: 3 });
    const given = [
      outcomes.completed(),
      outcomes.retry(),
      outcomes.failed(),
      outcomes.snooze(),
      outcomes.release(),
      outcomes.cancelled(),
      outcomes.failed(),
      outcomes.retry(),
      outcomes.failed(),
    ];
    const settled = await settleAll(
      fixture.store,
      tokens.map((token, index) => settlement(token, given[index]!)),
    );
    expect(settled.map(({ status }) => status)).toEqual([
      ...['completed', 'pending', 'failed', 'pending', 'pending', 'cancelled', 'failed', 'failed', 'cancelled'],
    ]);
    const failed = [2, 6, 7].map((index) => tokens[index]!.id);
    const letters = await lettersIn();
    expect(letters.map((letter) => (letter.payload as { id: string }).id).sort()).toEqual(failed.sort());
    expect(letters[0]!.payload).toMatchObject({ metadata: null, payload: null });
    expect(new Set(letters.map(({ id }) => id)).size).toBe(3);
  });

  it('are made once, although the outcome is sent again', async () => {
    const token = await claimOne(fixture.store);
    const outcome = [settlement(token, outcomes.failed())];
    expect(await settleAll(fixture.store, outcome)).toMatchObject([{ applied: true }]);
    expect(await settleAll(fixture.store, outcome)).toMatchObject([{ applied: false, status: 'failed' }]);
    expect(await lettersIn()).toHaveLength(1);
  });

  it('are made by the rescue of a crashed last attempt, and by no other rescue', async () => {
    const tokens = await claimMany(fixture.store, 4, { maxRetries: 1 });
    const [last, first, cancelled] = tokens.map(({ id }) => id);
    await fixture.set(last!, { retries: 1 });
    await fixture.set(cancelled!, { retries: 1 });
    await fixture.store.cancel([cancelled!]);
    await fixture.set(tokens[3]!.id, { retries: 1 });
    for (const { id } of tokens) {
      await fixture.expire(id);
    }
    // The handler of this last attempt never started.
    await fixture.sql(`UPDATE _jobs SET unstarted_attempt = attempt WHERE id = '${tokens[3]!.id}'`);
    const rescued = await rescue(fixture.store, 10);
    await fixture.store.links.idle();
    const statuses = new Map(rescued.map(({ id, status }) => [id, status]));
    expect(statuses.get(last!)).toBe('failed');
    expect([first!, tokens[3]!.id].map((id) => statuses.get(id))).toEqual(['pending', 'pending']);
    expect(statuses.get(cancelled!)).toBe('cancelled');
    expect(await lettersIn()).toMatchObject([
      { payload: { id: last, lastError: expect.stringContaining('lease') as unknown } },
    ]);
    expect(await rescue(fixture.store, 10)).toEqual([]);
    expect(await lettersIn()).toHaveLength(1);
  });

  it('are made again when a requeued job fails again', async () => {
    const token = await claimOne(fixture.store, { payload: '1' });
    await settleAll(fixture.store, [settlement(token, outcomes.failed())]);
    await fixture.store.requeue([token.id], { payload: '2' });
    const [again] = await claim(fixture.store);
    await settleAll(fixture.store, [settlement(again!, outcomes.failed())]);
    const letters = await lettersIn();
    expect(letters.map(({ payload }) => payload)).toMatchObject([
      { id: token.id, attempt: 1, payload: 1 },
      { id: token.id, attempt: 2, payload: 2 },
    ]);
    expect((await fixture.job(token.id)).metadata).toEqual({ $deadLetters: [{ id: letters[1]!.id, topic: DEAD }] });
  });

  it('go to each topic that is declared, and to none after no process declares it', async () => {
    await declare(TOPIC, DEAD, 'alerts');
    const token = await claimOne(fixture.store);
    await settleAll(fixture.store, [settlement(token, outcomes.failed())]);
    const links = (await fixture.job(token.id)).metadata!.$deadLetters as { topic: string }[];
    expect(links.map(({ topic }) => topic).sort()).toEqual(['alerts', DEAD]);
    expect([await lettersIn(), await lettersIn('alerts')].map(({ length }) => length)).toEqual([1, 1]);
    await orphanDefinitions(fixture);
    await handleTopics(fixture.store, TOPIC);
    const other = await claimOne(fixture.store);
    await settleAll(fixture.store, [settlement(other, outcomes.failed())]);
    expect((await fixture.job(other.id)).metadata).toBeNull();
    expect(await lettersIn()).toHaveLength(1);
  });

  it('have none of their own, unless their topic declares it, and never come back to a topic', async () => {
    const fail = async (topic: string): Promise<void> => {
      const [token] = await claim(fixture.store, { lanes: [lane({ topic, priority: -3 })] });
      await settleAll(fixture.store, [settlement(token!, outcomes.failed())]);
    };
    const token = await claimOne(fixture.store);
    await settleAll(fixture.store, [settlement(token, outcomes.failed())]);
    await fail(DEAD);
    expect(await fixture.sql('SELECT id FROM _jobs')).toHaveLength(2);
    // Two processes declare a cycle together.
    await declare(DEAD, TOPIC, 'morgue');
    const second = await claimOne(fixture.store);
    await settleAll(fixture.store, [settlement(second, outcomes.failed())]);
    await fail(DEAD);
    expect(await fixture.sql('SELECT id FROM _jobs')).toHaveLength(5);
    const [letter] = await lettersIn('morgue');
    expect(letter).toMatchObject({
      metadata: { $failedJob: { topics: [TOPIC, DEAD] } },
      payload: { topic: DEAD, payload: { id: second.id, topic: TOPIC } },
    });
  });

  it('are reported once, after the commit', async () => {
    const changes: LinkChanges[] = [];
    fixture.store.links.observe((change) => changes.push(change));
    const [settled, crashed] = await claimMany(fixture.store, 2, { maxRetries: 0 });
    await settleAll(fixture.store, [settlement(settled!, outcomes.failed())]);
    await fixture.expire(crashed!.id);
    await rescue(fixture.store, 10);
    fixture.store.links.observe(() => undefined);
    const letters = await lettersIn();
    expect(changes.flatMap(({ deadLetters }) => deadLetters)).toEqual(
      letters.map(({ id, topic, runAt }) => ({ id, topic, runAt })),
    );
  });

  it('are made for members of groups and parents, whose children are cancelled', async () => {
    const ids = await enqueueLinked(fixture.store, [
      linkedJob('a', undefined, { maxRetries: 0 }),
      linkedJob('b', ['a']),
    ]);
    const { a } = await claimByRef(fixture.store);
    await settleAll(fixture.store, [settlement(a!, outcomes.retry())]);
    expect((await fixture.job(ids.b!)).status).toBe('cancelled');
    expect(await lettersIn()).toMatchObject([{ payload: { id: ids.a, payload: 'a' } }]);
  });
});
