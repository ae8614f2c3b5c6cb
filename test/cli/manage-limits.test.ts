import { declareTopics } from '../support/declared.js';
import { useStore } from '../support/stores.js';
import { reachableKinds, readJson, runCommand, toUrl } from './support/command.js';

describe.each(reachableKinds().slice(-1))('limits on $label', (kind) => {
  const fixture = useStore(kind);
  const run = (...args: string[]): ReturnType<typeof runCommand> =>
    runCommand(['limits', ...args, '--url', toUrl(fixture.app)]);

  afterEach(() => fixture.sql('DELETE FROM _jobs_topics'));

  it('are set, listed and cleared', async () => {
    expect((await run()).out).toBe('no limits\n');
    const given = ['--concurrency', '50', '--per-key', '2', '--rate', '100/1m', '--rate-per-key'];
    const { code, out } = await run('set', 'sync_shop', ...given);
    expect(out).toBe("'sync_shop': 50 at once, 2 at once for each key, 100 in 1m for each key\n");
    expect(code).toBe(0);
    expect((await run()).out).toMatch(/sync_shop +50 +2 +100 in 1m for each key +operator/);
    expect(await readJson(['limits'], toUrl(fixture.app))).toEqual({
      items: [
        {
          topic: 'sync_shop',
          limits: { concurrency: 50, per_key: 2, rate: { limit: 100, per: 60_000, per_key: true } },
          limits_source: 'operator',
          code_limits: null,
        },
      ],
    });
    expect((await run('clear', 'sync_shop')).out).toBe("'sync_shop': no limits\n");
    expect((await run()).out).toBe('no limits\n');
  });

  it('set in the code apply again after the setting of an operator is cleared', async () => {
    await declareTopics(fixture.store, [{ topic: 'mail', limits: { concurrency: 3 } }]);
    expect((await run('set', 'mail', '--rate', '5/1s')).out).toBe("'mail': 5 in 1s\n");
    expect((await run('set', 'mail', '--rate', '5/1s', '--rate-spread')).out).toBe("'mail': 5 in 1s, evenly\n");
    expect((await run('set', 'mail', '--unlimited')).out).toBe("'mail': no limits\n");
    expect((await run('clear', 'mail')).out).toBe("'mail': 3 at once\n");
  });

  it.each([
    [['set', 'mail'], 'needs either limits or --unlimited'],
    [['set', 'mail', '--concurrency', '0'], '--concurrency: expected a whole number from 1 to 10000'],
    [['set', 'mail', '--rate', 'often'], "--rate: expected a number of starts and a duration, such as '100/1m'"],
    [['set', 'mail', '--rate', '5/10ms'], '--rate: expected a duration'],
    [['set', 'mail', '--concurrency', '5', '--rate-per-key'], '--rate-per-key needs --rate'],
    [['set', 'mail', '--concurrency', '5', '--rate-spread'], '--rate-spread needs --rate'],
    [['clear'], 'limits clear needs TOPIC'],
  ])('%j is wrong', async (args, message) => {
    const { code, err } = await run(...args);
    expect(err).toContain(message);
    expect(code).toBe(2);
  });
});
