import { DatabaseRefusedError, StatementCancelledError } from '../../../lib/core/errors.js';
import { SWEEP_INTERVAL_MS, TableSweeper } from '../../../lib/engine/maintain/table-sweeper.js';
import type { SweptPage } from '../../../lib/store/jobs/job-records.js';
import { logParts } from '../../support/unit/log-parts.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

type Read = (page: number, rows: number) => number;

describe('table sweeper', () => {
  let clock: VirtualClock;
  let logger: RecordingLogger;
  let sweeper: TableSweeper;
  /** Of each page: when it was read, where it began, and how many rows it had. */
  let reads: { atMs: number; after: string | null; rows: number }[];

  /** Starts to sweep a table of `pages` pages. `read` returns how many rows a page deletes, and may throw. */
  const start = (pages: number, read: Read, intervalMs: number | null = SWEEP_INTERVAL_MS): void => {
    clock = new VirtualClock();
    logger = new RecordingLogger();
    reads = [];
    const sweepPage = async (after: string | null, rows: number): Promise<SweptPage> => {
      reads.push({ atMs: clock.now(), after, rows });
      const page = after === null ? 1 : Number(after) + 1;
      const removed = read(page, rows);
      return { removed, next: page === pages ? null : String(page) };
    };
    const parts = { ...logParts(clock, logger), random: () => 0.5 };
    sweeper = new TableSweeper({ ...parts, name: 'sweep', prepare: () => intervalMs, sweepPage });
    sweeper.start();
  };
  const stop = async (): Promise<void> => {
    const stopped = sweeper.stop();
    await clock.advance(0);
    await stopped;
  };

  it('reads on after a short pause while pages find something, to the end of the table', async () => {
    start(300, () => 1);
    await clock.advance(SWEEP_INTERVAL_MS - 1);
    await stop();
    expect(reads.map(({ atMs }) => atMs)).toEqual(Array.from({ length: 300 }, (_, index) => index * 50));
    expect(reads.at(-1)!.after).toBe('299');
  });

  it('rests after 20 pages that find nothing, and goes on where it stopped', async () => {
    start(50, () => 0);
    await clock.advance(999);
    expect(reads).toHaveLength(20);
    await clock.advance(1);
    expect(reads).toHaveLength(40);
    expect(reads[20]!.after).toBe('20');
    await clock.advance(1_000);
    expect(reads).toHaveLength(50);
    await clock.advance(SWEEP_INTERVAL_MS - 1);
    expect(reads).toHaveLength(50);
    await clock.advance(1);
    await stop();
    expect(reads[50]).toMatchObject({ after: null });
  });

  it('counts pages without a find since the last page with one', async () => {
    start(100, (page) => Number(page % 15 === 0));
    await clock.advance(999);
    await stop();
    expect(reads).toHaveLength(100);
  });

  it.each([
    ['refuses', new DatabaseRefusedError('for the test')],
    ['cancels', new StatementCancelledError('for the test')],
  ])('halves a page that the database %s, and doubles the next ones', async (_, error) => {
    start(6, (page, rows) => {
      if (page === 2 && rows > 300) {
        throw error;
      }
      return rows;
    });
    await clock.advance(SWEEP_INTERVAL_MS - 1);
    await stop();
    expect(reads.map(({ after, rows }) => [after, rows])).toEqual([
      [null, 1_000],
      ['1', 1_000],
      ['1', 500],
      ['1', 250],
      ['2', 500],
      ['3', 1_000],
      ['4', 1_000],
      ['5', 1_000],
    ]);
    expect(logger.of('error')).toEqual([]);
  });

  it('reports an error of one row, and one of another kind', async () => {
    start(1, () => {
      throw new DatabaseRefusedError('one row');
    });
    await clock.advance(SWEEP_INTERVAL_MS);
    await stop();
    expect(reads.at(-1)!.rows).toBe(1);
    expect(logger.of('error')).toEqual([expect.stringContaining('one row')]);
    start(1, () => {
      throw new Error('another kind');
    });
    await clock.advance(0);
    await stop();
    expect(reads).toHaveLength(1);
    expect(logger.of('error')).toEqual([expect.stringContaining('another kind')]);
  });

  it('reads nothing while there is nothing to sweep', async () => {
    start(10, () => 1, null);
    await clock.advance(10 * SWEEP_INTERVAL_MS);
    await stop();
    expect(reads).toEqual([]);
  });
});
