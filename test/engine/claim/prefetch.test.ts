import { Prefetch } from '../../../lib/engine/run/prefetch.js';

describe('the number of jobs claimed ahead', () => {
  let prefetch: Prefetch;

  beforeEach(() => {
    prefetch = new Prefetch(10);
  });

  const learn = (handlerMs: number, ...claimsMs: number[]): void => {
    for (let count = 0; count < 200; count += 1) prefetch.recordHandler(handlerMs);
    claimsMs.forEach((ms) => prefetch.recordClaim(ms));
  };
  const always = (ms: number): number[] => Array.from({ length: 100 }, () => ms);

  it.each([
    { title: '0 before a handler has returned', target: 0 },
    { title: '50 ms of work near the database', handlerMs: 10, claims: always(2), target: 50 },
    { title: '0 near the database for handlers of more than 25 ms', handlerMs: 26, claims: always(2), target: 0 },
    { title: 'the work of three claims far from the database', handlerMs: 10, claims: always(50), target: 150 },
    {
      title: 'the work of three claims for handlers that take nearly as long as two claims',
      handlerMs: 99,
      claims: always(50),
      target: 15,
    },
    { title: '0 for handlers that take longer than two claims', handlerMs: 101, claims: always(50), target: 0 },
    { title: 'at most 250 ms of work', handlerMs: 10, claims: always(5_000), target: 250 },
    { title: 'not raised by one slow claim', handlerMs: 10, claims: [2, 2, 5_000], target: 50 },
    { title: 'at most 1,500', handlerMs: 0, claims: always(50), target: 1_500 },
  ])('is $title', ({ handlerMs, claims = [], target }) => {
    if (handlerMs !== undefined) learn(handlerMs, ...claims);
    expect(Math.abs(prefetch.target - target)).toBeLessThanOrEqual(1);
  });

  it('is 0 for a while after jobs were released as stale', () => {
    learn(10, ...always(50));
    prefetch.recordStale();
    expect(prefetch.target).toBe(0);
    learn(10);
    expect(prefetch.target).toBeGreaterThan(100);
  });
});
