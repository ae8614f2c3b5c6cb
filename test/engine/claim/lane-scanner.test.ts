import fc from 'fast-check';
import type { TopicCapacity } from '../../../lib/engine/claim/claim-capacity.js';
import { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import type { LaneGap, LaneStart, WaitingLane } from '../../../lib/store/jobs/job-records.js';
import { toLaneScan, WaitingJobs } from '../../support/unit/waiting-jobs.js';

const NOW_MS = 1_000;
const PRIORITIES = Array.from({ length: 2_001 }, (_, index) => index - 1_000);

const priorities = fc.oneof(
  fc.integer({ min: -1_000, max: 1_000 }),
  fc.constantFrom(-1_000, -999, -1, 0, 1, 999, 1_000),
);

function createCapacity(topic: string, usualPriority = 0): TopicCapacity {
  return { topic, available: 10, defaultPriority: usualPriority };
}

function createWaitingLane(topic: string, priority: number, dueInMs = 0): WaitingLane {
  return { topic, priority, dueInMs, isPaused: false, isLimited: false };
}

/** How often a scan covers each priority of a topic. */
function countCovers(gaps: readonly LaneGap[], lanes: readonly LaneStart[], topic: string): number[] {
  const own = gaps.filter((gap) => gap.topic === topic);
  const alone = lanes.filter((lane) => lane.topic === topic);
  return PRIORITIES.map(
    (priority) =>
      own.filter(({ after, before }) => after < priority && priority < before).length +
      alone.filter((lane) => lane.priority === priority).length,
  );
}

/** The priorities of a topic that the index knows. */
function knownPriorities(laneIndex: LaneIndex, topic: string, usualPriority = 0): number[] {
  const lanes = laneIndex.starts([createCapacity(topic, usualPriority)], 'full');
  return lanes.map(({ priority }) => priority).sort((a, b) => a - b);
}

describe('the gaps of a scan', () => {
  it('lie on both sides of the default lane when no other lane is known', () => {
    const laneIndex = new LaneIndex();

    expect(laneIndex.gaps([createCapacity('mail')])).toEqual([
      { topic: 'mail', after: -1_001, before: 0 },
      { topic: 'mail', after: 0, before: 1_001 },
    ]);
    expect(laneIndex.starts([createCapacity('mail')], 'full')).toEqual([
      { topic: 'mail', priority: 0, lowerBound: null },
    ]);
  });

  it('are never empty', () => {
    const laneIndex = new LaneIndex();
    [-1_000, 0, 1, 1_000].forEach((priority) => laneIndex.markDue('mail', priority));

    expect(laneIndex.gaps([createCapacity('mail')]).map(({ after, before }) => [after, before])).toEqual([
      [-1_000, 0],
      [1, 1_000],
    ]);
  });

  it('cover, together with the known lanes, every priority exactly once', () => {
    const lanes = fc.array(fc.tuple(fc.constantFrom('mail', 'ship', 'other'), priorities), { maxLength: 12 });

    fc.assert(
      fc.property(lanes, priorities, (known, usualPriority) => {
        const laneIndex = new LaneIndex();
        known.forEach(([topic, priority]) => laneIndex.markDue(topic, priority));
        const rooms = [createCapacity('mail', usualPriority), createCapacity('ship', usualPriority)];
        const gaps = laneIndex.gaps(rooms);

        for (const topic of ['mail', 'ship']) {
          expect(new Set(countCovers(gaps, laneIndex.starts(rooms, 'full'), topic))).toEqual(new Set([1]));
        }
        expect(gaps.every(({ topic, after, before }) => topic !== 'other' && before - after > 1)).toBe(true);
      }),
    );
  });

  it('are split at every known lane', () => {
    const laneIndex = new LaneIndex();
    [5, -3].forEach((priority) => laneIndex.markDue('mail', priority));

    expect(knownPriorities(laneIndex, 'mail')).toEqual([-3, 0, 5]);
  });
});

describe('the result of a scan', () => {
  const topics = [createCapacity('mail'), createCapacity('ship')];

  it('adds unknown lanes and returns whether there were any', () => {
    const laneIndex = new LaneIndex();
    laneIndex.gaps(topics);

    expect(laneIndex.recordScan(topics, toLaneScan(createWaitingLane('mail', 7)), NOW_MS)).toBe(true);
    expect(
      laneIndex.recordScan(topics, toLaneScan(createWaitingLane('mail', 7), createWaitingLane('mail', 0)), NOW_MS),
    ).toBe(false);
    expect(knownPriorities(laneIndex, 'mail')).toEqual([0, 7]);
  });

  it('removes empty lanes', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(
      topics,
      toLaneScan(createWaitingLane('mail', 7), createWaitingLane('mail', 8), createWaitingLane('ship', 9)),
      NOW_MS,
    );
    laneIndex.recordScan(topics, toLaneScan(createWaitingLane('mail', 8)), NOW_MS);

    expect([knownPriorities(laneIndex, 'mail'), knownPriorities(laneIndex, 'ship')]).toEqual([[0, 8], [0]]);
  });

  it('keeps the default lane, and lanes marked during the scan', () => {
    const laneIndex = new LaneIndex();
    const urgent = [createCapacity('mail', -5)];
    laneIndex.gaps(urgent);
    laneIndex.markDue('mail', 3);
    laneIndex.recordScan(urgent, toLaneScan(), NOW_MS);

    expect(knownPriorities(laneIndex, 'mail', -5)).toEqual([-5, 3]);
    expect(laneIndex.isAnyDue(urgent, NOW_MS)).toBe(true);
  });

  it('changes no topic that was not scanned', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(topics, toLaneScan(createWaitingLane('ship', 9, 50)), NOW_MS);
    laneIndex.recordScan([createCapacity('mail')], toLaneScan(), NOW_MS);

    expect(knownPriorities(laneIndex, 'ship')).toEqual([0, 9]);
    expect(laneIndex.nextDueAtMs(topics)).toBe(NOW_MS + 50);
  });
});

describe('nextDueAtMs', () => {
  const topics = [createCapacity('mail'), createCapacity('ship')];

  it('is Infinity for an empty index', () => {
    expect(new LaneIndex().nextDueAtMs(topics)).toBe(Infinity);
    expect(new LaneIndex().nextDueAtMs([])).toBe(Infinity);
  });

  it('is the earliest time of all lanes of the given topics', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(
      topics,
      toLaneScan(
        createWaitingLane('mail', 7, 300),
        createWaitingLane('mail', 0, 500),
        createWaitingLane('ship', 0, 100),
      ),
      NOW_MS,
    );

    expect(laneIndex.nextDueAtMs(topics)).toBe(NOW_MS + 100);
    expect(laneIndex.nextDueAtMs([createCapacity('mail')])).toBe(NOW_MS + 300);
  });

  it('follows the next scan in both directions', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(topics, toLaneScan(createWaitingLane('mail', 7, 300)), NOW_MS);
    laneIndex.recordScan(topics, toLaneScan(createWaitingLane('mail', 7, 900)), NOW_MS);
    expect(laneIndex.nextDueAtMs(topics)).toBe(NOW_MS + 900);

    laneIndex.recordScan(topics, toLaneScan(), NOW_MS);
    expect(laneIndex.nextDueAtMs(topics)).toBe(Infinity);
  });

  it('makes its lane due when the time comes', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(topics, toLaneScan(createWaitingLane('mail', 7, 300)), NOW_MS);

    expect([299, 300].map((ms) => laneIndex.isAnyDue(topics, NOW_MS + ms))).toEqual([false, true]);
    expect(laneIndex.isAnyDue([createCapacity('ship')], NOW_MS + 300)).toBe(false);
  });
});

describe('a scan of all lanes and gaps', () => {
  const jobs = fc.record({
    topic: fc.constantFrom('mail', 'ship'),
    priority: priorities,
    dueAtMs: fc.nat({ max: 50 }),
  });

  it('finds a due job behind any number of delayed jobs in more urgent lanes', () => {
    fc.assert(
      fc.property(fc.array(jobs, { maxLength: 20 }), (waiting) => {
        const rooms = [createCapacity('mail'), createCapacity('ship')];
        const laneIndex = new LaneIndex();
        const table = new WaitingJobs(laneIndex);
        waiting.forEach((job) => table.add(job, 'nothing'));
        table.scanAll(rooms);

        expect(laneIndex.nextDueAtMs(rooms)).toBe(Math.min(Infinity, ...waiting.map(({ dueAtMs }) => dueAtMs)));
        expect(laneIndex.isAnyDue(rooms, 0)).toBe(waiting.some(({ dueAtMs }) => dueAtMs === 0));
      }),
    );
  });
});

describe('a lane index with random claims, announcements and scans', () => {
  const newJobs = fc.record({
    topic: fc.constantFrom('mail', 'ship'),
    priority: priorities,
    dueAtMs: fc.nat({ max: 50 }),
  });
  /** Jobs are announced by lane, by topic or not at all; some arrive during a claim. */
  const steps = fc.record({
    jobs: fc.array(newJobs, { maxLength: 4 }),
    announce: fc.constantFrom('lane', 'topic', 'anything', 'nothing'),
    isDuringClaim: fc.boolean(),
    limit: fc.integer({ min: 1, max: 4 }),
    mailRoom: fc.integer({ min: 1, max: 4 }),
  });

  it('finds every due job, announced or not', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 15 }), (history) => {
        const jobs = new WaitingJobs(new LaneIndex());
        history.forEach((step) => jobs.play(step));
        const rounds = jobs.drain();

        expect(jobs.count).toBe(0);
        expect(rounds).toBeLessThan(200);
      }),
    );
  });

  it('claims an announced job with the next claim, without a scan, even when it came during a claim', () => {
    fc.assert(
      fc.property(fc.array(steps, { maxLength: 5 }), newJobs, (history, job) => {
        const jobs = new WaitingJobs(new LaneIndex());
        history.forEach((step) => jobs.play(step));
        jobs.drain();
        jobs.claim({ limit: 4, mailRoom: 4, during: () => jobs.add({ ...job, dueAtMs: 0 }, 'lane') });

        expect(jobs.claim({ limit: 4, mailRoom: 4 })).toBe(1);
      }),
    );
  });
});
