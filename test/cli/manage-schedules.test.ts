import { JobsEngine } from 'nestjs-jobs';
import { useStore } from '../support/stores.js';
import { reachableKinds, readJson, runCommand, toUrl } from './support/command.js';

describe.each(reachableKinds().slice(-1))('schedules on $label', (kind) => {
  const fixture = useStore(kind);
  const run = (args: string[], typed?: string): ReturnType<typeof runCommand> =>
    runCommand([...args, '--url', toUrl(fixture.app)], typed === undefined ? {} : { typed });

  beforeAll(async () => {
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await engine.schedules.upsert('nightly', '0 3 * * *', {
      topic: 'report',
      tz: 'Europe/Berlin',
      payload: { all: true },
    });
    await engine.schedules.upsert('often', { every: '10s' }, { topic: 'poll' });
    await engine.close();
  });

  it('are listed and shown', async () => {
    const { code, out } = await run(['schedules']);
    expect(code).toBe(0);
    expect(out).toMatch(/nightly +0 3 \* \* \* +Europe\/Berlin +report +\d{4}-/);
    expect(out).toMatch(/often +every 10s/);
    expect((await run(['schedules', 'show', 'nightly'])).out).toMatch(/pattern +0 3 \* \* \*/);
    const json = await readJson(['schedules', 'show', 'nightly'], toUrl(fixture.app));
    expect(json).toMatchObject({ name: 'nightly', topic: 'report', payload: { all: true }, paused_since: null });
  });

  it('have next ticks', async () => {
    const { items } = await readJson<{ items: string[] }>(
      ['schedules', 'next', 'often', '--count', '3'],
      toUrl(fixture.app),
    );
    const [first, second, third] = items.map((tick) => Date.parse(tick));
    expect([second! - first!, third! - second!]).toEqual([10_000, 10_000]);
  });

  it('run now, pause and resume', async () => {
    expect((await run(['schedules', 'run', 'nightly'])).out).toMatch(/^enqueued job [0-9a-f-]{36} of 'report'\n$/);
    expect((await run(['schedules', 'pause', 'nightly'])).out).toBe("paused 'nightly'\n");
    expect((await run(['schedules'])).out).toContain('paused since');
    expect((await run(['schedules', 'resume', 'nightly'])).out).toBe("resumed 'nightly'\n");
    expect((await run(['schedules'])).out).not.toContain('paused since');
  });

  it('are removed after a question', async () => {
    expect((await run(['schedules', 'remove', 'often'])).code).toBe(2);
    expect((await run(['schedules', 'remove', 'often'], 'n\n')).code).toBe(1);
    expect((await run(['schedules', 'remove', 'often', '--yes'])).out).toBe("removed 'often'\n");
    expect((await run(['schedules'])).out).not.toContain('often');
  });

  it.each(['show', 'next', 'run', 'pause', 'resume'])('%s of an unknown name ends with 1', async (verb) => {
    const { code, err } = await run(['schedules', verb, 'nothing']);
    expect(code).toBe(1);
    expect(err).toContain("there is no schedule 'nothing'");
  });
});
