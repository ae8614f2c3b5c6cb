import { LAST, REFUSED, ScanQueue } from './scan-queue.js';

describe('scans that fail', () => {
  let queue: ScanQueue;

  beforeEach(async () => {
    queue = await ScanQueue.idle();
  });

  afterEach(() => queue.close());

  it('right after the start do not prevent claims of announced jobs', async () => {
    await queue.engine.stop();
    queue.rejectsScans = true;
    await queue.engine.start();
    await queue.engine.enqueue('work', 1);
    await queue.advance(1_000);
    expect(queue.done).toEqual([1]);
  });

  it('are logged once and repeated with growing pauses', async () => {
    queue.rejectsScans = true;
    for (let n = 1; n <= 1_000; n += 1) {
      void queue.engine.enqueue('work', n);
      await queue.advance(1);
    }
    expect(queue.errors).toEqual([REFUSED]);
    expect(queue.scans).toBeLessThan(10);
    queue.rejectsScans = false;
    await queue.advance(10_000);
    expect(queue.done).toHaveLength(1_000);
    expect(queue.errors).toHaveLength(1);
  });

  it('count as recovered after the next successful scan, under constant load too', async () => {
    queue.scanMs = 30;
    for (let n = 1; n < 300; n += 1) {
      if (n % 100 === 0) queue.rejectsScans = true;
      void queue.engine.enqueue('work', n);
      await queue.advance(10);
      if (queue.errors.length === Math.floor(n / 100)) queue.rejectsScans = false;
    }
    expect(queue.errors).toEqual([REFUSED, REFUSED]);
  });

  it('are logged when they run beside claims', async () => {
    const answer = queue.hold('scan');
    await queue.engine.enqueue('chain', 1);
    await queue.settle();
    expect(queue.done).toHaveLength(LAST);
    queue.rejectsScans = true;
    answer();
    await queue.settle();
    expect(queue.errors).toEqual([REFUSED]);
    queue.rejectsScans = false;
    queue.scans = 0;
    await queue.advance(10_000);
    expect(queue.scans).toBe(1);
  });

  it('during a stop are not logged after the next start', async () => {
    const answerScan = queue.hold('scan');
    await queue.engine.enqueue('work', 1);
    await queue.settle();
    const answerClaim = queue.hold('claim');
    await queue.engine.enqueue('work', 2);
    await queue.settle();
    const stopped = queue.engine.stop();
    answerClaim();
    queue.rejectsScans = true;
    answerScan();
    await stopped;
    queue.rejectsScans = false;
    await queue.engine.start();
    await queue.settle();
    expect(queue.errors).toEqual([]);
    expect(queue.done).toEqual([1, 2]);
  });
});
