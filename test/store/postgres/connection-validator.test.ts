import { ConnectionValidator } from '../../../lib/store/postgres/driver/connection-validator.js';
import type { PooledClient, SessionPool } from '../../../lib/store/postgres/driver/session-pool.js';

/** A pool of one connection, which counts what it is asked. */
function poolOfOne(): { pool: SessionPool; asked: string[] } {
  const asked: string[] = [];
  const client = {
    query: (sql: string) => Promise.resolve(asked.push(sql)),
    release: () => undefined,
  } as unknown as PooledClient;
  return { pool: { waitingCount: 7, connect: () => Promise.resolve(client) }, asked };
}

describe('a connection that is lent', () => {
  it('is asked nothing while it is in use', async () => {
    const { pool, asked } = poolOfOne();
    const validator = new ConnectionValidator();
    const valid = validator.over(pool);
    validator.noteUse(await pool.connect());
    await valid.connect();
    await valid.connect();
    expect(asked).toEqual([]);
    expect(valid.waitingCount).toBe(7);
  });

  it.each([
    { title: 'nobody has used it for a while', times: { bypassMs: 0, timeoutMs: 1_000 }, isKnown: true },
    { title: 'nobody knows since when it is idle', times: undefined, isKnown: false },
  ])('is asked whether it is there when $title', async ({ times, isKnown }) => {
    const { pool, asked } = poolOfOne();
    const validator = new ConnectionValidator(times);
    if (isKnown) validator.noteUse(await pool.connect());
    await validator.over(pool).connect();
    expect(asked).toEqual(['SELECT 1']);
  });
});
