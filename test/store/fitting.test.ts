import { splitIntoPieces } from '../../lib/store/batch-json.js';
import { newJobs } from '../support/job-rows.js';

const MIB = 1_048_576;

const sizesOf = (...jobs: Parameters<typeof splitIntoPieces>): number[] =>
  splitIntoPieces(...jobs).map(({ length }) => length);

describe('new jobs in pieces that a statement carries', () => {
  it('are a thousand at most', () => {
    expect(sizesOf(newJobs(2_001))).toEqual([1_000, 1_000, 1]);
    expect(sizesOf([])).toEqual([]);
  });

  it('have 4 MiB of payload and metadata at most, together', () => {
    const half = 'x'.repeat(MIB / 2);
    expect(sizesOf(newJobs(9, { payload: half, metadata: half }))).toEqual([4, 4, 1]);
  });

  it('travel alone when one of them is longer', () => {
    const [small] = newJobs(1);
    const [giant] = newJobs(1, { payload: 'x'.repeat(5 * MIB) });
    expect(splitIntoPieces([small!, giant!, small!])).toEqual([[small], [giant], [small]]);
  });
});
