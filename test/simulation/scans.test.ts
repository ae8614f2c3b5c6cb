import { LAST, POLL_MS, REFUSED, ScanQueue } from './scan-queue.js';

describe('scans', () => {
  let queue: ScanQueue;

  beforeEach(async () => {
    queue = await ScanQueue.idle();
  });

  afterEach(() => queue.close());

  it('are answered before the first claim, which begins with what is most urgent', async () => {
    await queue.engine.stop();
    for (const priority of [0, -5]) {
      for (let n = 0; n < 20; n += 1) await queue.producer.enqueue('slow', priority, { priority });
    }
    await queue.engine.start();
    await queue.producer.enqueue('slow', 0);
    await queue.advance(200);
    expect(queue.done.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => -5));
  });

  it('say nothing at first of what may be claimed when it is told to stop before their answer', async () => {
    await queue.engine.stop();
    await queue.producer.enqueue('work', 1);
    queue.claims = 0;
    const answer = queue.shut('scan');
    await queue.engine.start();
    await queue.settle();
    const stopped = queue.engine.stop();
    answer();
    await stopped;
    expect(queue).toMatchObject({ claims: 0, done: [] });
  });

  it('keep nobody waiting when it is told to start while it runs', async () => {
    queue.shut('scan');
    await queue.engine.enqueue('work', 1);
    await queue.settle();
    await queue.engine.start();
    await queue.engine.enqueue('work', 2);
    await queue.settle();
    expect(queue.done).toEqual([1, 2]);
  });

  it('are made once after a job that comes alone', async () => {
    for (let n = 1; n <= 3; n += 1) {
      await queue.advance(10_000);
      await queue.engine.enqueue('work', n);
      await queue.advance(10_000);
      expect(queue).toMatchObject({ scans: n, done: { length: n } });
    }
  });

  it('are made after each claim: they say when the next job is due', async () => {
    await queue.engine.enqueue('work', 1, { delay: 1_000 });
    await queue.engine.enqueue('work', 2, { delay: 2_000 });
    await queue.advance(1_000);
    expect(queue.done).toEqual([1]);
    await queue.advance(1_000);
    expect(queue.done).toEqual([1, 2]);
  });

  it('are made again when a job goes on waiting', async () => {
    const starts: number[] = [];
    const fail = (): never => {
      starts.push(queue.clock.now());
      throw new Error('for the test');
    };
    queue.engine.register('flaky', () => queue.sleep(100).then(fail), { backoff: { type: 'fixed', delay: 500 } });
    await queue.engine.enqueue('flaky', 1, { maxRetries: 1 });
    await queue.advance(1_000);
    expect(starts).toHaveLength(2);
  });

  it('find a lane that is not known, from which is claimed at once', async () => {
    await queue.producer.enqueue('work', 1, { priority: 7 });
    await queue.settle();
    expect(queue.done).toEqual([1]);
  });

  it('find the lanes behind those that they find', async () => {
    queue.isDeaf = true;
    await queue.producer.enqueue('work', 1, { priority: 5, delay: 3_600_000 });
    await queue.producer.enqueue('work', 2, { priority: 7 });
    // One poll comes in this time.
    await queue.advance(1.2 * POLL_MS);
    expect(queue.done).toEqual([2]);
  });

  it('find within the poll interval what nobody has told of, however the dice fall', async () => {
    queue.isDeaf = true;
    queue.random = () => 0.999;
    // The first one was set before the test said how.
    for (let polls = 0; polls < 2; polls += 1) {
      queue.scans = 0;
      while (queue.scans === 0) await queue.advance(100);
    }
    await queue.producer.enqueue('work', 1);
    await queue.advance(POLL_MS);
    expect(queue.done).toEqual([1]);
  });

  it('are made less and less often while somebody holds a due job locked', async () => {
    queue.isLocked = true;
    for (const [job, done] of [[1], [1, 2]].entries()) {
      await queue.engine.enqueue('work', job + 1);
      await queue.advance(100);
      expect(queue.scans).toBeGreaterThanOrEqual(3);
      await queue.advance(2_000);
      queue.scans = 0;
      await queue.advance(10_000);
      expect(queue.scans).toBeGreaterThanOrEqual(50);
      expect(queue.scans).toBeLessThanOrEqual(101);
      queue.isLocked = false;
      await queue.advance(200);
      expect(queue.done).toEqual(done);
      queue.scans = 0;
      queue.isLocked = true;
    }
  });

  it('keep no job waiting that is due while somebody holds another locked', async () => {
    const starts: number[] = [];
    queue.engine.register('timed', () => void starts.push(queue.clock.now()));
    queue.isLocked = 'work';
    await queue.engine.enqueue('work', 1);
    await queue.advance(5_000);
    const dueAt: number[] = [];
    for (let job = 0; job < 5; job += 1) {
      dueAt.push(queue.clock.now() + 613);
      await queue.engine.enqueue('timed', job, { delay: 613 });
      await queue.advance(1_000);
    }
    expect(starts.map((at, index) => at - dueAt[index]!)).toEqual([0, 0, 0, 0, 0]);
  });

  describe('that are not answered yet', () => {
    it('keep nobody waiting who is announced meanwhile', async () => {
      const answer = queue.shut('scan');
      await queue.engine.enqueue('chain', 1);
      await queue.settle();
      expect(queue).toMatchObject({ scans: 1, done: { length: LAST } });
      answer();
      await queue.advance(10_000);
      // What the first one may not have seen.
      expect(queue.scans).toBe(2);
    });

    it('keep nobody waiting who is announced right after the answer of a claim', async () => {
      queue.shut('scan');
      const wake = (): void => queue.engine['dispatcher'].wake('work', 0, new Date(0));
      for (let ticks = 0; ticks < 40; ticks += 1) {
        const { id } = await queue.producer.enqueue('work', ticks, { delay: 3_600_000 });
        await queue.settle();
        queue.onClaim = async () => {
          for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
          queue.table.rows.get(id)!.runAt = new Date(0);
          wake();
        };
        wake();
        await queue.settle();
        expect(queue.done).toHaveLength(ticks + 1);
      }
    });

    it('are waited for by a stop, and so are looks below the bounds of claims that follow from them', async () => {
      queue.tookMs = 100;
      for (let n = 1; n <= 5; n += 1) {
        await queue.engine.enqueue('work', n);
        await queue.advance(5_000);
      }
      const answerScan = queue.shut('scan');
      await queue.advance(POLL_MS);
      const answerClaim = queue.shut('claim');
      await queue.engine.enqueue('work', 6);
      await queue.settle();
      let isStopped = false;
      const stopped = queue.engine.stop().then(() => (isStopped = true));
      answerClaim();
      await queue.settle();
      expect(isStopped).toBe(false);
      queue.scans = 0;
      const answerLook = queue.shut('scan');
      answerScan();
      await queue.settle();
      expect(queue.scans).toBe(1);
      expect(isStopped).toBe(false);
      answerLook();
      await stopped;
      expect(queue.scans).toBe(1);
    });

    it('say nothing of what comes after a stop and before the next start', async () => {
      queue.isDeaf = true;
      const answer = queue.shut('scan');
      await queue.engine.enqueue('work', 1);
      await queue.settle();
      queue.engine.stopClaiming();
      await queue.engine.start();
      await queue.producer.enqueue('work', 2, { priority: -5 });
      answer();
      await queue.advance(100);
      expect(queue.done).toEqual([1, 2]);
    });
  });

  describe('beside a backlog', () => {
    beforeEach(async () => {
      for (let n = 1; n <= 1_000; n += 1) await queue.producer.enqueue('slow', n);
      await queue.advance(1_000);
    });

    it('find a more urgent lane that is not known, though there is no free slot', async () => {
      await queue.producer.enqueue('slow', 'urgent', { priority: -5 });
      await queue.advance(1_000);
      expect(queue.done).toContain('urgent');
    });

    it('are made no more often than every 50 ms, and once a second without hints', async () => {
      queue.isDeaf = true;
      queue.scans = 0;
      await queue.advance(2_000);
      expect(queue.scans).toBeLessThanOrEqual(2);
      queue.isDeaf = false;
      queue.scans = 0;
      for (let n = 1; n <= 100; n += 1) {
        await queue.producer.enqueue('slow', n);
        await queue.advance(10);
      }
      expect(queue.scans).toBeGreaterThan(5);
      expect(queue.scans).toBeLessThanOrEqual(20);
    });

    it('are made without any hint too', async () => {
      queue.isDeaf = true;
      await queue.producer.enqueue('slow', 'urgent', { priority: -5 });
      await queue.advance(2_000);
      expect(queue.done).toContain('urgent');
    });
  });

  describe('for whoever waits for quiet', () => {
    let isQuiet: boolean;
    let quiet: Promise<unknown>;

    const waitForQuiet = (): void => {
      isQuiet = false;
      quiet = queue.engine.whenIdle().then(() => (isQuiet = true));
    };

    it('are answered first', async () => {
      const answer = queue.shut('scan');
      await queue.engine.enqueue('chain', 1);
      waitForQuiet();
      await queue.settle();
      expect(queue.done).toHaveLength(LAST);
      expect(isQuiet).toBe(false);
      answer();
      await quiet;
    });

    it('are made at once when the last job is done, and find what nobody announced', async () => {
      queue.isDeaf = true;
      await queue.engine.enqueue('slow', 1);
      waitForQuiet();
      await queue.advance(50);
      await queue.producer.enqueue('work', 'later', { priority: 5, delay: 3_600_000 });
      await queue.producer.enqueue('work', 2, { priority: 7 });
      await queue.advance(49);
      expect(isQuiet).toBe(false);
      await queue.advance(1);
      await quiet;
      expect(queue.done).toEqual([1, 2]);
    });

    it('are made again soon when one of them was refused', async () => {
      await queue.engine.enqueue('slow', 1);
      waitForQuiet();
      await queue.advance(50);
      const settle = queue.shut('settle');
      await queue.advance(60);
      queue.isRefusing = true;
      settle();
      await queue.settle();
      expect(queue.errors).toEqual([REFUSED]);
      queue.isRefusing = false;
      await queue.advance(1_000);
      expect(isQuiet).toBe(true);
    });

    it('say nothing of a retry that came after they were sent', async () => {
      let attempts = 0;
      let fail!: (error: Error) => void;
      const work = (): Promise<void> | void => {
        attempts += 1;
        if (attempts === 1) return new Promise((_, reject) => (fail = reject));
      };
      queue.engine.register('flaky', work, { backoff: { type: 'fixed', delay: 0 } });
      await queue.engine.enqueue('flaky', 1);
      await queue.settle();
      const answer = queue.shut('scan');
      waitForQuiet();
      await queue.settle();
      fail(new Error('for the test'));
      await queue.settle();
      answer();
      await quiet;
      expect(attempts).toBe(2);
    });
  });
});
