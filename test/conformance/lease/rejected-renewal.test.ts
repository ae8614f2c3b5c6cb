import { JobsEngine } from 'nestjs-jobs';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';

/** A process without a turn for two seconds still renews its leases in time. */
const LEASE_MS = 3_000;

/** Triggers of the application that reject renewals of one topic. */
const TRIGGERS = {
  postgres: [
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$`,
    `CREATE TRIGGER refusing BEFORE UPDATE ON _jobs FOR EACH ROW
     WHEN (NEW.topic = 'stuck' AND OLD.status = 'processing' AND NEW.status = 'processing') EXECUTE FUNCTION refuse()`,
  ],
  sqlite: [
    `CREATE TRIGGER refusing BEFORE UPDATE ON _jobs
     WHEN NEW.topic = 'stuck' AND OLD.status = 'processing' AND NEW.status = 'processing'
     BEGIN SELECT RAISE(ABORT, 'not this one'); END`,
  ],
};

describe.each(storeKinds())('a lease that the database rejects to renew, on $label', (kind) => {
  const fixture = useStore(kind);

  it('is lost, and other leases are renewed', async () => {
    for (const statement of TRIGGERS[fixture.store.capabilities.database]) {
      await fixture.sql(statement);
    }
    const logger = new RecordingLogger();
    const engine = new JobsEngine({ store: fixture.store, lease: LEASE_MS, logger });
    const aborted: string[] = [];
    const end = signal();
    const stuckEnds = signal();
    const recordAbort = (job: { topic: string; signal: AbortSignal }): void =>
      job.signal.addEventListener('abort', () => {
        aborted.push(`${job.topic} ${(job.signal.reason as Error).name}`);
        stuckEnds.resolve();
      });
    engine.register(TOPIC, (job) => (recordAbort(job), end.promise));
    engine.register('stuck', (job) => (recordAbort(job), stuckEnds.promise));
    const topics = [TOPIC, TOPIC, TOPIC, TOPIC, 'stuck', TOPIC, TOPIC, TOPIC, TOPIC];
    await engine.enqueueMany(topics.map((topic) => ({ topic, payload: null })));
    await engine.start();
    await stuckEnds.promise;
    // All leases began together, so the others would have ended too without a renewal.
    end.resolve();
    await until(async () => (await engine.stats.get(TOPIC)).completed === 8);
    await engine.close();
    expect(aborted).toEqual(['stuck LeaseLostError']);
    expect(logger.of('error')).toContainEqual(expect.stringMatching(/^renewing leases: failed.*not this one/));
  });
});
