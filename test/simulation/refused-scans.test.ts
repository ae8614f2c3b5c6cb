import { LAST, REFUSED, ScanQueue } from './scan-queue.js';

describe('scans that are refused', () => {
  let queue: ScanQueue;

  beforeEach(async () => {
    queue = await ScanQueue.idle();
  });

  afterEach(() => queue.close());

  it('at first keep nobody from claiming what is announced', async () => {
    await queue.engine.stop();
    queue.isRefusing = true;
    await queue.engine.start();
    await queue.engine.enqueue('work', 1);
    await queue.advance(1_000);
    expect(queue.done).toEqual([1]);
  });

  it('are told of once, and made again after pauses that grow', async () => {
    queue.isRefusing = true;
    for (let n = 1; n <= 1_000; n += 1) {
      void queue.engine.enqueue('work', n);
      await queue.advance(1);
    }
    expect(queue.errors).toEqual([REFUSED]);
    expect(queue.scans).toBeLessThan(10);
    queue.isRefusing = false;
    await queue.advance(10_000);
    expect(queue.done).toHaveLength(1_000);
    expect(queue.errors).toHaveLength(1);
  });

  it('are over with the next one that is answered, though jobs keep coming', async () => {
    queue.scanMs = 30;
    for (let n = 1; n < 300; n += 1) {
      if (n % 100 === 0) queue.isRefusing = true;
      void queue.engine.enqueue('work', n);
      await queue.advance(10);
      if (queue.errors.length === Math.floor(n / 100)) queue.isRefusing = false;
    }
    expect(queue.errors).toEqual([REFUSED, REFUSED]);
  });

  it('beside claims are told of too', async () => {
    const answer = queue.shut('scan');
    await queue.engine.enqueue('chain', 1);
    await queue.settle();
    expect(queue.done).toHaveLength(LAST);
    queue.isRefusing = true;
    answer();
    await queue.settle();
    expect(queue.errors).toEqual([REFUSED]);
    queue.isRefusing = false;
    queue.scans = 0;
    await queue.advance(10_000);
    expect(queue.scans).toBe(1);
  });

  it('while it stops are not told of when it starts again', async () => {
    const answerScan = queue.shut('scan');
    await queue.engine.enqueue('work', 1);
    await queue.settle();
    const answerClaim = queue.shut('claim');
    await queue.engine.enqueue('work', 2);
    await queue.settle();
    const stopped = queue.engine.stop();
    answerClaim();
    queue.isRefusing = true;
    answerScan();
    await stopped;
    queue.isRefusing = false;
    await queue.engine.start();
    await queue.settle();
    expect(queue.errors).toEqual([]);
    expect(queue.done).toEqual([1, 2]);
  });
});
