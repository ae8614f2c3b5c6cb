/**
 * @matrix all
 * @slow
 */

import { until } from '../support/wait.js';
import { runKilled } from './support/run-killed.js';
import { everyOrm, useOrm } from './support/use-orm.js';

describe.each(everyOrm)('a process killed in a transaction of $name on $label', ({ name, database }) => {
  const world = useOrm(name, database);

  it('stores neither the job nor the write before the commit', async () => {
    const topic = 'enqueue-before';
    await runKilled({ name, database, url: world.url, action: 'enqueue', moment: 'before', topic });
    expect(await world.effects()).toEqual([]);
    expect((await world.queue.engine.jobs.list({ topic })).items).toEqual([]);
  });

  it('stores the job and the write after the commit', async () => {
    const topic = 'enqueue-after';
    await runKilled({ name, database, url: world.url, action: 'enqueue', moment: 'after', topic });
    expect(await world.effects()).toEqual(['killed']);
    expect((await world.queue.engine.jobs.list({ topic })).items).toMatchObject([{ topic, status: 'pending' }]);
  });

  it('leaves the attempt to another worker before the commit', async () => {
    const topic = 'complete-before';
    const { id } = await world.queue.engine.enqueue(topic, null);
    await runKilled({ name, database, url: world.url, action: 'complete', moment: 'before', topic });
    expect(await world.effects()).toEqual([]);
    expect(await world.queue.engine.jobs.get(id)).toMatchObject({ status: 'processing', attempt: 1 });

    const worker = await world.openQueue({ topics: [topic] });
    worker.engine.register(topic, () => 'done');
    await worker.engine.start();
    const job = await until(async () => {
      const found = await world.queue.engine.jobs.get(id);
      return found?.status === 'completed' && found;
    });
    expect(job).toMatchObject({ attempt: 2, result: 'done' });
    await worker.engine.stop();
  });

  it('has completed the job with the write after the commit', async () => {
    const topic = 'complete-after';
    const { id } = await world.queue.engine.enqueue(topic, null);
    await runKilled({ name, database, url: world.url, action: 'complete', moment: 'after', topic });
    expect(await world.effects()).toEqual(['killed']);
    const job = await world.queue.engine.jobs.get(id);
    expect(job).toMatchObject({ status: 'completed', attempt: 1, result: 'killed' });
  });
});
