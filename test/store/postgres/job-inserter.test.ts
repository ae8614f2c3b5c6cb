import { Notifier } from '../../../lib/store/postgres/notifier.js';
import { NotificationPayload } from '../../../lib/store/postgres/notification-payload.js';
import { JobInserter } from '../../../lib/store/postgres/job-inserter.js';
import { FIND_HOLDERS, INSERT_ALIKE_JOBS, INSERT_JOBS } from '../../../lib/store/postgres/sql/insert.js';
import { toSqlError } from '../../../lib/store/sql-error.js';
import { newJob } from '../../support/job-rows.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const topicsIn = (hint: string): unknown => new NotificationPayload().decode(hint);

/** A server whose queue of notifications may be full: it refuses the commit of whoever has one. */
class Server {
  /** The topics of each hint that a statement was to send; `null`: it had none. */
  readonly hints: unknown[] = [];
  refusal: object | undefined;
  readonly clock = new VirtualClock();
  /** Those of hints that were sent for their own sake. */
  readonly sent: unknown[] = [];
  readonly announcer = new Notifier(async (hint) => void this.sent.push(topicsIn(hint)), this.clock);
  readonly insertions = new JobInserter(
    (_text, [, hint]) => {
      this.hints.push(hint && topicsIn(hint as string));
      const isRefused = this.refusal !== undefined && hint !== null;
      return isRefused ? Promise.reject(toSqlError(this.refusal)) : Promise.resolve([{ created: 0, count: 1 }]);
    },
    this.announcer,
    (work) => work({}),
  );
}

describe('the insertion of a job', () => {
  it('takes its hint along', async () => {
    const { insertions, hints } = new Server();
    const job = newJob();
    expect(await insertions.insert([job])).toMatchObject([{ id: job.id }]);
    expect(hints).toEqual([[job.topic]]);
  });

  it('does without the hint when the server takes no more notifications', async () => {
    const server = new Server();
    server.refusal = { code: '54000', message: 'too many notifications in the NOTIFY queue' };
    const job = newJob();
    expect(await server.insertions.insert([job])).toMatchObject([{ id: job.id }]);
    expect(server.hints).toEqual([[job.topic], null]);
  });

  it('fails when it is refused for another reason', async () => {
    const server = new Server();
    server.refusal = { code: '42501', message: 'permission denied' };
    await expect(server.insertions.insert([newJob()])).rejects.toThrow('permission denied');
    expect(server.hints).toHaveLength(1);
  });

  it('leaves what it was to tell of the jobs of others, when it fails, to be told', async () => {
    const server = new Server();
    server.announcer.announce(['first']);
    server.announcer.announce(['theirs']);
    await server.clock.advance(4);
    server.refusal = { code: '42501', message: 'permission denied' };
    await expect(server.insertions.insert([newJob({ topic: 'mine' })])).rejects.toThrow('permission denied');
    expect(server.hints).toEqual([['theirs', 'mine']]);
    await server.clock.advance(60_000);
    expect(server.sent).toEqual([['first'], ['theirs']]);
  });

  it('does not speak of the jobs of others where it may store none, and so say nothing', async () => {
    const server = new Server();
    server.announcer.announce(['first']);
    server.announcer.announce(['theirs']);
    await server.clock.advance(4);
    await server.insertions.insert([newJob({ topic: 'mine', uniqueKey: 'key' })]);
    expect(server.hints).toEqual([null]);
    await server.clock.advance(60_000);
    expect(server.sent).toEqual([['first'], ['theirs', 'mine']]);
  });

  it('looks for those that are there already when the quick way meets one, and tells of others all the same', async () => {
    const [known, fresh] = [newJob(), newJob()];
    const statements: [text: string, inTransaction: boolean][] = [];
    const answers = [
      () => Promise.reject(toSqlError({ code: '23505', message: 'duplicate key value', severity: 'ERROR' })),
      () => Promise.resolve([{ created: 0, count: 1, ids: JSON.stringify([fresh.id]) }]),
      () => Promise.resolve([{ asked_id: known.id, id: known.id, run_at: 0, created: 0 }]),
    ];
    const { announcer, clock, sent } = new Server();
    const insertions = new JobInserter(
      (text, _params, tx) => {
        statements.push([text, tx !== undefined]);
        return answers[statements.length - 1]!();
      },
      announcer,
      (work) => work({}),
    );
    announcer.announce(['first']);
    announcer.announce(['theirs']);
    await clock.advance(4);
    expect((await insertions.insert([known, fresh])).map(({ id }) => id)).toEqual([known.id, fresh.id]);
    expect(statements).toEqual([
      [INSERT_ALIKE_JOBS, false],
      [INSERT_JOBS, true],
      [FIND_HOLDERS, true],
    ]);
    await clock.advance(60_000);
    expect(sent).toEqual([['first'], [known.topic], ['theirs']]);
  });
});
