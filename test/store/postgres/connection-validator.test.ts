import type { PooledClient, SessionPool } from '../../../lib/store/postgres/pool.js';
import { ConnectionValidator } from '../../../lib/store/postgres/pool.js';

/** A pool of one connection that records its queries. */
function createPool(): { pool: SessionPool; queries: string[] } {
  const queries: string[] = [];
  const client = {
    query: (sql: string) => Promise.resolve(queries.push(sql)),
    release: () => undefined,
  } as unknown as PooledClient;
  return { pool: { waitingCount: 7, connect: () => Promise.resolve(client) }, queries };
}

describe('ConnectionValidator', () => {
  it('does not test a recently used connection', async () => {
    const { pool, queries } = createPool();
    const validator = new ConnectionValidator();
    const valid = validator.wrap(pool);
    validator.markUsed(await pool.connect());
    await valid.connect();
    await valid.connect();
    expect(queries).toEqual([]);
    expect(valid.waitingCount).toBe(7);
  });

  it.each([
    { title: 'was idle for a while', times: { bypassMs: 0, timeoutMs: 1_000 }, isKnown: true },
    { title: 'is unknown', times: undefined, isKnown: false },
  ])('tests a connection that $title', async ({ times, isKnown }) => {
    const { pool, queries } = createPool();
    const validator = new ConnectionValidator(times);
    if (isKnown) validator.markUsed(await pool.connect());
    await validator.wrap(pool).connect();
    expect(queries).toEqual(['SELECT 1']);
  });
});
