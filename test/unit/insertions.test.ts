import { Announcer } from '../../lib/store/postgres/announcer.js';
import { Insertions } from '../../lib/store/postgres/insertions.js';
import { sqlErrorOf } from '../../lib/store/sql-runner.js';
import { newJob } from '../support/job-rows.js';
import { VirtualClock } from './support/virtual-clock.js';

/** A server whose queue of notifications may be full: it refuses the commit of whoever has one. */
class Server {
  readonly hints: unknown[] = [];
  refusal: object | undefined;
  readonly insertions = new Insertions(
    (_text, [, hint]) => {
      this.hints.push(hint);
      const isRefused = this.refusal !== undefined && hint !== null;
      return isRefused ? Promise.reject(sqlErrorOf(this.refusal)) : Promise.resolve([{ created: 0, count: 1 }]);
    },
    new Announcer(() => undefined, new VirtualClock()),
  );
}

describe('the insertion of a job', () => {
  it('takes its hint along', async () => {
    const { insertions, hints } = new Server();
    const job = newJob();
    expect(await insertions.insert([job])).toMatchObject([{ id: job.id }]);
    expect(hints).toEqual([job.topic]);
  });

  it('does without the hint when the server takes no more notifications', async () => {
    const server = new Server();
    server.refusal = { code: '54000', message: 'too many notifications in the NOTIFY queue' };
    const job = newJob();
    expect(await server.insertions.insert([job])).toMatchObject([{ id: job.id }]);
    expect(server.hints).toEqual([job.topic, null]);
  });

  it('fails when it is refused for another reason', async () => {
    const server = new Server();
    server.refusal = { code: '42501', message: 'permission denied' };
    await expect(server.insertions.insert([newJob()])).rejects.toThrow('permission denied');
    expect(server.hints).toHaveLength(1);
  });
});
