import { JobsEngine } from 'nestjs-jobs';
import { altered } from '../../support/altered-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

/* A rejection that nobody hears of fails a test, as it ends a process. */

describe.each(storeKinds())('what a handler asks and does not await on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  afterEach(() => engine.close());

  it.each(['progress', 'completeTx'] as const)('keeps no job from completing when it is refused: %s', async (call) => {
    const lines: string[] = [];
    const say = (line: string): void => void lines.push(line);
    const logger = { debug: say, log: say, warn: say, error: say };
    const store = altered(fixture.store, { recordProgress: async (entries) => entries.map(() => false) });
    engine = new JobsEngine({ store, logger });
    engine.register(TOPIC, (job) => {
      void (call === 'progress' ? job.progress(1) : job.completeTx(fixture.app.manager));
      return 'done';
    });
    await engine.start();
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.whenIdle();
    expect(await fixture.job(id)).toMatchObject({ status: 'completed', result: 'done' });
    expect(lines.filter((line) => line.startsWith(`${call} of job ${id} was refused`))).toHaveLength(1);
  });
});
