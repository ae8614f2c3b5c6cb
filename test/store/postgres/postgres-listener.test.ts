import { NotificationPayload } from '../../../lib/store/postgres/notifier.js';
import type { PostgresClient } from '../../../lib/store/postgres/postgres-listener.js';
import { PostgresListener } from '../../../lib/store/postgres/postgres-listener.js';
import { silentLogger } from '../../../lib/core/logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const silent: PostgresClient = {
  connect: () => Promise.resolve(),
  query: () => Promise.resolve({ rows: [] }),
  end: () => Promise.resolve(),
  on: () => undefined,
};

describe('PostgresListener: a client that cannot be created', () => {
  it('is retried, for example until the file of a certificate exists', async () => {
    const clock = new VirtualClock();
    const calls: string[] = [];
    const jobs = jest.fn();
    const makeClient = jest.fn(() => silent);
    makeClient.mockImplementationOnce(() => {
      throw new Error("ENOENT: no such file or directory, open '/etc/ca.pem'");
    });
    const hints = {
      onJobs: jobs,
      onCancel: () => undefined,
      onSchedules: () => undefined,
      onWorkers: () => undefined,
      onListening: () => undefined,
      onConnected: () => void calls.push('connected'),
      onConnectFailed: (error: unknown) => void calls.push((error as Error).message),
    };
    const listener = new PostgresListener({
      makeClient,
      sendEcho: () => Promise.resolve(),
      hints,
      codec: new NotificationPayload(),
      clock,
      logger: silentLogger,
    });

    await listener.start();
    expect(jobs).not.toHaveBeenCalled();
    await clock.advance(1_000);
    expect(makeClient).toHaveBeenCalledTimes(2);
    expect(jobs).toHaveBeenCalledTimes(1);
    expect(calls).toEqual([expect.stringMatching(/^the database does not reply: .*ca\.pem/), 'connected']);
    await listener.stop();
  });
});
