import { NotificationPayload, Notifier } from '../../../lib/store/postgres/notifier.js';
import { JobInserter } from '../../../lib/store/jobs/postgres-inserter.js';
import { FIND_HOLDERS, INSERT_ALIKE_JOBS, INSERT_JOBS } from '../../../lib/store/jobs/insert.postgres.js';
import { toSqlError } from '../../../lib/store/runtime/sql-error.js';
import { newJob } from '../../support/job-rows.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const readTopics = (hint: string): unknown => new NotificationPayload().decode(hint)?.topics;

/** A server whose queue of notifications may be full: it then rejects a commit with a notification. */
class Server {
  /** The topics of the notification of each statement; `null` for none. */
  readonly hints: unknown[] = [];
  refusal: object | undefined;
  readonly clock = new VirtualClock();
  /** The topics of the notifications that were sent by themselves. */
  readonly sent: unknown[] = [];
  readonly notifier = new Notifier(async (hint) => void this.sent.push(readTopics(hint)), this.clock);
  readonly inserter = new JobInserter({
    query: (_text, [, hint]) => {
      this.hints.push(hint && readTopics(hint as string));
      const isRefused = this.refusal !== undefined && hint !== null;
      return isRefused ? Promise.reject(toSqlError(this.refusal)) : Promise.resolve([{ created: 0, count: 1 }]);
    },
    transaction: (work) => work({}),
    queueId: () => null,
    notifier: this.notifier,
  });
}

describe('JobInserter', () => {
  it('sends the notification with the insert', async () => {
    const { inserter, hints } = new Server();
    const job = newJob();
    expect(await inserter.insert([job])).toMatchObject([{ id: job.id }]);
    expect(hints).toEqual([[job.topic]]);
  });

  it('inserts without the notification when the queue of notifications is full', async () => {
    const server = new Server();
    server.refusal = { code: '54000', message: 'too many notifications in the NOTIFY queue' };
    const job = newJob();
    expect(await server.inserter.insert([job])).toMatchObject([{ id: job.id }]);
    expect(server.hints).toEqual([[job.topic], null]);
  });

  it('rejects when the database refuses the insert for another reason', async () => {
    const server = new Server();
    server.refusal = { code: '42501', message: 'permission denied' };
    await expect(server.inserter.insert([newJob()])).rejects.toThrow('permission denied');
    expect(server.hints).toHaveLength(1);
  });

  it('sends waiting notifications later when its insert fails', async () => {
    const server = new Server();
    server.notifier.announce(['first']);
    server.notifier.announce(['theirs']);
    await server.clock.advance(1);
    server.refusal = { code: '42501', message: 'permission denied' };
    await expect(server.inserter.insert([newJob({ topic: 'mine' })])).rejects.toThrow('permission denied');
    expect(server.hints).toEqual([['theirs', 'mine']]);
    await server.clock.advance(60_000);
    expect(server.sent).toEqual([['first'], ['theirs']]);
  });

  it('sends no waiting notifications with a keyed job, which may not be inserted', async () => {
    const server = new Server();
    server.notifier.announce(['first']);
    server.notifier.announce(['theirs']);
    await server.clock.advance(1);
    await server.inserter.insert([newJob({ topic: 'mine', uniqueKey: 'key' })]);
    expect(server.hints).toEqual([null]);
    await server.clock.advance(60_000);
    expect(server.sent).toEqual([['first'], ['theirs', 'mine']]);
  });

  it('finds existing jobs in a transaction after a conflict, and still sends waiting notifications', async () => {
    const [known, fresh] = [newJob(), newJob()];
    const statements: [text: string, inTransaction: boolean][] = [];
    const answers = [
      () => Promise.reject(toSqlError({ code: '23505', message: 'duplicate key value', severity: 'ERROR' })),
      () => Promise.resolve([{ created: 0, count: 1, ids: JSON.stringify([fresh.id]) }]),
      () => Promise.resolve([{ asked_id: known.id, id: known.id, run_at: 0, created: 0 }]),
    ];
    const { notifier, clock, sent } = new Server();
    const inserter = new JobInserter({
      query: (text, _params, tx) => {
        statements.push([text, tx !== undefined]);
        return answers[statements.length - 1]!();
      },
      transaction: (work) => work({}),
      queueId: () => null,
      notifier,
    });
    notifier.announce(['first']);
    notifier.announce(['theirs']);
    await clock.advance(1);
    expect((await inserter.insert([known, fresh])).map(({ id }) => id)).toEqual([known.id, fresh.id]);
    expect(statements).toEqual([
      [INSERT_ALIKE_JOBS, false],
      [INSERT_JOBS, true],
      [FIND_HOLDERS, true],
    ]);
    await clock.advance(60_000);
    expect(sent).toEqual([['first'], [known.topic], ['theirs']]);
  });
});
