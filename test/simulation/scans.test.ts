import { LAST, POLL_MS, REFUSED, ScanQueue } from './scan-queue.js';

describe('a scan', () => {
  let queue: ScanQueue;

  beforeEach(async () => {
    queue = await ScanQueue.idle();
  });

  afterEach(() => queue.close());

  it('ends before the first claim, so that this serves the most urgent lane', async () => {
    await queue.engine.stop();
    for (const priority of [0, -5]) {
      for (let n = 0; n < 20; n += 1) await queue.producer.enqueue('slow', priority, { priority });
    }
    await queue.engine.start();
    await queue.producer.enqueue('slow', 0);
    await queue.advance(200);
    expect(queue.done.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => -5));
  });

  it('causes no claim when the engine stops before its answer', async () => {
    await queue.engine.stop();
    await queue.producer.enqueue('work', 1);
    queue.claims = 0;
    const answer = queue.hold('scan');
    await queue.engine.start();
    await queue.settle();
    const stopped = queue.engine.stop();
    answer();
    await stopped;
    expect(queue).toMatchObject({ claims: 0, done: [] });
  });

  it('delays no job when start is called while the engine runs', async () => {
    queue.hold('scan');
    await queue.engine.enqueue('work', 1);
    await queue.settle();
    await queue.engine.start();
    await queue.engine.enqueue('work', 2);
    await queue.settle();
    expect(queue.done).toEqual([1, 2]);
  });

  it('runs once after a single job', async () => {
    for (let n = 1; n <= 3; n += 1) {
      await queue.advance(10_000);
      await queue.engine.enqueue('work', n);
      await queue.advance(10_000);
      expect(queue).toMatchObject({ scans: n, done: { length: n } });
    }
  });

  it('runs after each claim and finds when the next job is due', async () => {
    await queue.engine.enqueue('work', 1, { delay: 1_000 });
    await queue.engine.enqueue('work', 2, { delay: 2_000 });
    await queue.advance(1_000);
    expect(queue.done).toEqual([1]);
    await queue.advance(1_000);
    expect(queue.done).toEqual([1, 2]);
  });

  it('runs again when a job returns to waiting', async () => {
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

  it('finds an unknown lane, which is claimed at once', async () => {
    await queue.producer.enqueue('work', 1, { priority: 7 });
    await queue.settle();
    expect(queue.done).toEqual([1]);
  });

  it('finds all unknown lanes of a topic', async () => {
    queue.missesNotifications = true;
    await queue.producer.enqueue('work', 1, { priority: 5, delay: 3_600_000 });
    await queue.producer.enqueue('work', 2, { priority: 7 });
    // One poll comes in this time.
    await queue.advance(1.2 * POLL_MS);
    expect(queue.done).toEqual([2]);
  });

  it('finds unannounced jobs within the poll interval, with any jitter', async () => {
    queue.missesNotifications = true;
    queue.random = () => 0.999;
    // The first poll was scheduled before the test set the random number.
    for (let polls = 0; polls < 2; polls += 1) {
      queue.scans = 0;
      while (queue.scans === 0) await queue.advance(100);
    }
    await queue.producer.enqueue('work', 1);
    await queue.advance(POLL_MS);
    expect(queue.done).toEqual([1]);
  });

  it('is repeated less and less often while a due job is locked', async () => {
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

  it('delays no other job while one is locked', async () => {
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

  describe('in flight', () => {
    it('does not delay jobs that are announced meanwhile', async () => {
      const answer = queue.hold('scan');
      await queue.engine.enqueue('chain', 1);
      await queue.settle();
      expect(queue).toMatchObject({ scans: 1, done: { length: LAST } });
      answer();
      await queue.advance(10_000);
      // The second scan finds what the first one may have missed.
      expect(queue.scans).toBe(2);
    });

    it('does not delay jobs that are announced right after the answer of a claim', async () => {
      queue.hold('scan');
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

    it('delays stop, and so does a background scan that follows it', async () => {
      queue.tookMs = 100;
      for (let n = 1; n <= 5; n += 1) {
        await queue.engine.enqueue('work', n);
        await queue.advance(5_000);
      }
      const answerScan = queue.hold('scan');
      await queue.advance(POLL_MS);
      const answerClaim = queue.hold('claim');
      await queue.engine.enqueue('work', 6);
      await queue.settle();
      let isStopped = false;
      const stopped = queue.engine.stop().then(() => (isStopped = true));
      answerClaim();
      await queue.settle();
      expect(isStopped).toBe(false);
      queue.scans = 0;
      const answerBackgroundScan = queue.hold('scan');
      answerScan();
      await queue.settle();
      expect(queue.scans).toBe(1);
      expect(isStopped).toBe(false);
      answerBackgroundScan();
      await stopped;
      expect(queue.scans).toBe(1);
    });

    it('does not hide jobs from between a stop and the next start', async () => {
      queue.missesNotifications = true;
      const answer = queue.hold('scan');
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

    it('finds a more urgent unknown lane although no slot is free', async () => {
      await queue.producer.enqueue('slow', 'urgent', { priority: -5 });
      await queue.advance(1_000);
      expect(queue.done).toContain('urgent');
    });

    it('runs at most every 50 ms, and once a second without notifications', async () => {
      queue.missesNotifications = true;
      queue.scans = 0;
      await queue.advance(2_000);
      expect(queue.scans).toBeLessThanOrEqual(2);
      queue.missesNotifications = false;
      queue.scans = 0;
      for (let n = 1; n <= 100; n += 1) {
        await queue.producer.enqueue('slow', n);
        await queue.advance(10);
      }
      expect(queue.scans).toBeGreaterThan(5);
      expect(queue.scans).toBeLessThanOrEqual(20);
    });

    it('runs without notifications too', async () => {
      queue.missesNotifications = true;
      await queue.producer.enqueue('slow', 'urgent', { priority: -5 });
      await queue.advance(2_000);
      expect(queue.done).toContain('urgent');
    });
  });

  describe('for whenIdle', () => {
    let isIdle: boolean;
    let idle: Promise<unknown>;

    const waitUntilIdle = (): void => {
      isIdle = false;
      idle = queue.engine.whenIdle().then(() => (isIdle = true));
    };

    it('ends before whenIdle resolves', async () => {
      const answer = queue.hold('scan');
      await queue.engine.enqueue('chain', 1);
      waitUntilIdle();
      await queue.settle();
      expect(queue.done).toHaveLength(LAST);
      expect(isIdle).toBe(false);
      answer();
      await idle;
    });

    it('runs at once after the last job and finds unannounced jobs', async () => {
      queue.missesNotifications = true;
      await queue.engine.enqueue('slow', 1);
      waitUntilIdle();
      await queue.advance(50);
      await queue.producer.enqueue('work', 'later', { priority: 5, delay: 3_600_000 });
      await queue.producer.enqueue('work', 2, { priority: 7 });
      await queue.advance(49);
      expect(isIdle).toBe(false);
      await queue.advance(1);
      await idle;
      expect(queue.done).toEqual([1, 2]);
    });

    it('is repeated soon after a failure', async () => {
      await queue.engine.enqueue('slow', 1);
      waitUntilIdle();
      await queue.advance(50);
      const settle = queue.hold('settle');
      await queue.advance(60);
      queue.rejectsScans = true;
      settle();
      await queue.settle();
      expect(queue.errors).toEqual([REFUSED]);
      queue.rejectsScans = false;
      await queue.advance(1_000);
      expect(isIdle).toBe(true);
    });

    it('does not hide a retry that was written after it was sent', async () => {
      let attempts = 0;
      let fail!: (error: Error) => void;
      const work = (): Promise<void> | void => {
        attempts += 1;
        if (attempts === 1) return new Promise((_, reject) => (fail = reject));
      };
      queue.engine.register('flaky', work, { backoff: { type: 'fixed', delay: 0 } });
      await queue.engine.enqueue('flaky', 1);
      await queue.settle();
      const answer = queue.hold('scan');
      waitUntilIdle();
      await queue.settle();
      fail(new Error('for the test'));
      await queue.settle();
      answer();
      await idle;
      expect(attempts).toBe(2);
    });
  });
});
