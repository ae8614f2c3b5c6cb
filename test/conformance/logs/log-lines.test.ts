import type { JobLogLine, LogPosition } from '../../../lib/core/job-log.js';
import type { LogEntry, LogSet } from '../../../lib/store/logs/log-store.js';
import { claimOne, insertMany, insertOne } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const START = { attempt: 0, line: 0 };

/** Lines `from` to `to` of an attempt. */
function lines(id: string, attempt: number, from: number, to = from): LogSet {
  const entries = Array.from({ length: to - from + 1 }, (_, index): LogEntry => {
    const line = from + index;
    return { line, level: 'info', message: `line ${line}`, data: null, ageMs: 0 };
  });
  return { token: { id, attempt }, lines: entries };
}

const ids = (found: readonly JobLogLine[]): string[] => found.map(({ id }) => id);

describe.each(storeKinds())('log lines on $label', (kind) => {
  const fixture = useStore(kind);
  const write = (...sets: LogSet[]): Promise<void> => fixture.store.logs.write(sets, 5);
  const read = (id: string, after: LogPosition = START, limit = 100): Promise<JobLogLine[]> =>
    fixture.store.logs.read(id, after, limit);
  const twoJobs = async (): Promise<[string, string]> => [
    await insertOne(fixture.store),
    await insertOne(fixture.store),
  ];
  const countLines = async (): Promise<number> =>
    Number((await fixture.sql<{ count: string | number }>('SELECT count(*) AS count FROM _jobs_logs'))[0]!.count);
  const pruneAll = async (): Promise<void> => {
    let { next } = await fixture.store.logs.prune(null);
    while (next !== null) ({ next } = await fixture.store.logs.prune(next));
  };

  it('are stored with level, data and the time at which they were written', async () => {
    const { id } = await claimOne(fixture.store);
    const data = { file: 'ä"\\\n', sizes: [1, 2.5, null] };
    const before = await fixture.now();
    const texts = { level: 'warn', message: 'read "ä"\n\\', data: JSON.stringify(data) } as const;
    await write({
      token: { id, attempt: 1 },
      lines: [
        { ...texts, line: 1, ageMs: 60_000.25 },
        { ...texts, line: 2, ageMs: 0, data: 'null' },
        { ...texts, line: 3, ageMs: 0, data: '"text"' },
        { ...texts, line: 4, ageMs: 0, data: null },
      ],
    });
    const found = await read(id);
    expect(found).toMatchObject([
      { id: '1.1', attempt: 1, level: 'warn', message: texts.message, data },
      { id: '1.2', data: null },
      { id: '1.3', data: 'text' },
      { id: '1.4', data: null },
    ]);
    const agesMs = found.map(({ time }) => time.getTime() - before.getTime());
    expect(agesMs[0]).toBeGreaterThanOrEqual(-60_010);
    expect(agesMs[0]).toBeLessThan(-30_000);
    expect(agesMs[1]).toBeGreaterThanOrEqual(-10);
  });

  it('are read in the order of attempts and numbers, in pages', async () => {
    const [id, other] = await twoJobs();
    await fixture.store.logs.write([lines(id, 2, 1, 12), lines(other, 1, 1), lines(id, 1, 1, 2)], 200);
    expect(ids(await read(id, START, 4))).toEqual(['1.1', '1.2', '2.1', '2.2']);
    expect(ids(await read(id, { attempt: 2, line: 9 }, 2))).toEqual(['2.10', '2.11']);
    expect(ids(await read(id, { attempt: 2, line: 12 }))).toEqual([]);
    expect(ids(await read(other))).toEqual(['1.1']);
  });

  it('keep the newest of each job, over all of its attempts', async () => {
    const [id, other] = await twoJobs();
    await write(lines(id, 1, 1, 4), lines(other, 1, 1, 5));
    await write(lines(id, 2, 1, 2));
    expect(ids(await read(id))).toEqual(['1.2', '1.3', '1.4', '2.1', '2.2']);
    await write(lines(id, 2, 3, 7), lines(other, 1, 6, 7));
    expect(ids(await read(id))).toEqual(['2.3', '2.4', '2.5', '2.6', '2.7']);
    expect(ids(await read(other))).toEqual(['1.3', '1.4', '1.5', '1.6', '1.7']);
  });

  it('are stored once when a write is repeated', async () => {
    const { id } = await claimOne(fixture.store);
    await write(lines(id, 1, 1, 3));
    await write(lines(id, 1, 1, 4));
    expect(ids(await read(id))).toEqual(['1.1', '1.2', '1.3', '1.4']);
  });

  it('of a deleted job are not read, and are pruned', async () => {
    const [kept, gone] = await twoJobs();
    await write(lines(kept, 1, 1), lines(gone, 1, 1, 3));
    await pruneAll();
    expect(await countLines()).toBe(4);
    await fixture.store.delete([gone]);
    expect(await read(gone)).toEqual([]);
    await pruneAll();
    expect(await countLines()).toBe(1);
    expect(ids(await read(kept))).toEqual(['1.1']);
  });

  it('are pruned in pages of a thousand jobs', async () => {
    const jobs = await insertMany(fixture.store, 1_001);
    await write(...jobs.toReversed().map((id) => lines(id, 1, 1, 2)));
    const { next } = await fixture.store.logs.prune(null);
    expect(next).toBe(jobs[999]);
    expect(await fixture.store.logs.prune(next)).toEqual({ removed: 0, next: null });
    expect(await countLines()).toBe(2_002);
  });
});
