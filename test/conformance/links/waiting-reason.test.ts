import { JobsEngine } from 'nestjs-jobs';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('the reason why a job waits for its parents on $label', (kind) => {
  const fixture = useStore(kind);

  it('names how many parents have not ended', async () => {
    const engine = new JobsEngine({ store: fixture.store });
    const jobs = await engine.enqueueMany([
      { ref: 'a', topic: 'parent', payload: 1 },
      { ref: 'b', topic: 'parent', payload: 2 },
      { topic: 'child', payload: 3, dependsOn: ['a', 'b'], onParentFailure: 'run' },
    ]);
    const child = jobs[2]!;
    const text = async (): Promise<unknown> => {
      const job = (await engine.jobs.get(child.id))!;
      return (await engine.jobs.whyWaiting([job])).get(job.id);
    };
    expect(await text()).toEqual({
      code: 'blocked',
      text: 'the job waits for 2 jobs that have not ended',
      waitingOn: 2,
    });
    await engine.jobs.cancel(jobs[0]!.id);
    expect(await text()).toEqual({
      code: 'blocked',
      text: 'the job waits for 1 job that has not ended',
      waitingOn: 1,
    });
    await engine.jobs.cancel(jobs[1]!.id);
    expect(await text()).toMatchObject({ code: 'no_handler' });
    await engine.close();
  });
});
