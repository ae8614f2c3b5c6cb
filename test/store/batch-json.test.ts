import { splitIntoPieces } from '../../lib/store/jobs/batch-json.js';
import { newJobs } from '../support/job-rows.js';

const MIB = 1_048_576;

const countPieces = (...jobs: Parameters<typeof splitIntoPieces>): number[] =>
  splitIntoPieces(...jobs).map(({ length }) => length);

describe('splitIntoPieces', () => {
  it('returns pieces of at most 1,000 jobs', () => {
    expect(countPieces(newJobs(2_001))).toEqual([1_000, 1_000, 1]);
    expect(countPieces([])).toEqual([]);
  });

  it('returns pieces of at most 4 MiB of payload and metadata', () => {
    const half = 'x'.repeat(MIB / 2);
    expect(countPieces(newJobs(9, { payload: half, metadata: half }))).toEqual([4, 4, 1]);
  });

  it('returns a larger job as a piece of its own', () => {
    const [small] = newJobs(1);
    const [giant] = newJobs(1, { payload: 'x'.repeat(5 * MIB) });
    expect(splitIntoPieces([small!, giant!, small!])).toEqual([[small], [giant], [small]]);
  });
});
