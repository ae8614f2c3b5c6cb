import { Readable } from 'node:stream';
import { JobsEngine } from 'nestjs-jobs';
import { of } from 'rxjs';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';
import { textWith } from './support/matchers.js';

describe('a handler that returns a value that the queue cannot consume', () => {
  const apps = useApps(sqliteMemory);

  it.each([
    ['a generator', function* () {}],
    ['a generator', async function* () {}],
    ['a stream', () => Readable.from(['a'])],
    ['an Observable', () => Promise.resolve(of(1))],
  ])('fails with an error that names the value: %s', async (what, run) => {
    const app = await apps.start();
    app.module.get(JobsEngine).register('work', run);
    const { id } = await app.jobs.enqueue('work', null, { maxRetries: 0 });
    await app.event('failed', id);
    expect(await app.job(id)).toMatchObject({
      status: 'failed',
      lastError: textWith(`the handler returned ${what},`),
    });
  });
});
