import { Prefetch } from '../../../lib/engine/claim/prefetch.js';

describe('what is claimed ahead', () => {
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
    { title: 'nothing before a handler has returned', target: 0 },
    { title: '50 ms of work near the database', handlerMs: 10, claims: always(2), target: 50 },
    { title: 'nothing there for handlers of more than 25 ms', handlerMs: 26, claims: always(2), target: 0 },
    { title: 'the work of three claims far from it', handlerMs: 10, claims: always(50), target: 150 },
    { title: 'that also for handlers that take nearly as long as two', handlerMs: 99, claims: always(50), target: 15 },
    { title: 'nothing there for those that take longer', handlerMs: 101, claims: always(50), target: 0 },
    { title: 'a quarter of a second of work at the most', handlerMs: 10, claims: always(5_000), target: 250 },
    { title: 'no more for one claim that took long', handlerMs: 10, claims: [2, 2, 5_000], target: 50 },
    { title: '1,500 at the most', handlerMs: 0, claims: always(50), target: 1_500 },
  ])('is $title', ({ handlerMs, claims = [], target }) => {
    if (handlerMs !== undefined) learn(handlerMs, ...claims);
    expect(Math.abs(prefetch.target - target)).toBeLessThanOrEqual(1);
  });

  it('is nothing for a while after jobs had to be given back', () => {
    learn(10, ...always(50));
    prefetch.recordStale();
    expect(prefetch.target).toBe(0);
    learn(10);
    expect(prefetch.target).toBeGreaterThan(100);
  });
});
