import { transactionsAtOnce } from '../../../lib/typeorm/application-pool.js';

it.each([
  [1, 1],
  [2, 1],
  [4, 3],
  [5, 4],
  [10, 8],
  [20, 16],
  [100, 80],
])('transactionsAtOnce: of a pool of %d connections, transactional handlers use %d', (size, most) => {
  expect(transactionsAtOnce(size)).toBe(most);
});
