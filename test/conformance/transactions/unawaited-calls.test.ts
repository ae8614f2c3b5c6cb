/** @npm-test typeorm-0.3, typeorm-0.3-postgres */

import { JobsEngine } from 'nestjs-jobs';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

/* An unhandled rejection fails a test. */

describe.each(storeKinds())('a call that the handler does not await, on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  afterEach(() => engine.close());

  it.each(['progress', 'completeTx'] as const)(
    'does not prevent the completion of its job when it is rejected: %s',
    async (call) => {
      const lines: string[] = [];
      const write = (line: string): void => void lines.push(line);
      const logger = { debug: write, log: write, warn: write, error: write };
      engine = new JobsEngine({ store: fixture.store, logger });
      engine.register(TOPIC, (job) => {
        void (call === 'progress' ? job.progress(1n) : job.completeTx(fixture.app.manager));
        return 'done';
      });
      await engine.start();
      const { id } = await engine.enqueue(TOPIC, null);
      await engine.whenIdle();
      expect(await fixture.job(id)).toMatchObject({ status: 'completed', result: 'done' });
      expect(lines.filter((line) => line.startsWith(`${call} of job ${id} failed`))).toHaveLength(1);
    },
  );
});
