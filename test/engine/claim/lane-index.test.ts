import fc from 'fast-check';
import type { Claim } from '../../../lib/core/job.js';
import type { TopicCapacity } from '../../../lib/engine/claim/claim-capacity.js';
import { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import type { LaneScan } from '../../../lib/store/jobs/job-records.js';
import { toClaim, toLaneScan } from '../../support/unit/waiting-jobs.js';

const NOW_MS = 1_000;

function createCapacity(topic: string, room = 10, usualPriority = 0): TopicCapacity {
  return { topic, available: room, defaultPriority: usualPriority };
}

function createClaims(topic: string, priority: number, count: number): Claim[] {
  return Array.from({ length: count }, () => toClaim({ topic, priority }));
}

/** The lanes of a plan, as `topic priority`. */
function toNames(lanes: readonly { topic: string; priority: number }[]): string[] {
  return lanes.map(({ topic, priority }) => `${topic} ${priority}`);
}

/** An index with these lanes, each marked as due. */
function createIndex(...lanes: (readonly [topic: string, priority: number])[]): LaneIndex {
  const laneIndex = new LaneIndex();
  lanes.forEach(([topic, priority]) => laneIndex.markDue(topic, priority));
  return laneIndex;
}

/** Plans a claim and takes `count` jobs from its lanes. Returns their topics. */
function take(laneIndex: LaneIndex, topics: readonly TopicCapacity[], count: number): string[] {
  const version = laneIndex.recordSend();
  const lanes = laneIndex.plan(topics, count, NOW_MS);
  const all = lanes.flatMap(({ topic, priority, limit }) => createClaims(topic, priority, limit));
  const taken = all.slice(0, count);
  laneIndex.recordClaim({ lanes, limit: count }, taken, version);
  return taken.map(({ topic }) => topic);
}

describe('a plan', () => {
  it('is empty while no lane is known to be due', () => {
    expect(new LaneIndex().plan([createCapacity('mail')], 10, NOW_MS)).toEqual([]);
  });

  it('starts with the most urgent lanes of all topics', () => {
    const laneIndex = createIndex(['mail', 0], ['ship', -5], ['mail', -10], ['ship', 7], ['mail', 1_000]);
    const lanes = laneIndex.plan([createCapacity('mail'), createCapacity('ship')], 10, NOW_MS);

    expect(toNames(lanes)).toEqual(['mail -10', 'ship -5', 'mail 0', 'ship 7', 'mail 1000']);
    expect(lanes[0]).toEqual({ topic: 'mail', priority: -10, lowerBound: null, limit: 10 });
  });

  it('has the topic of a batch handler alone, with its own limit, or no such topic', () => {
    const laneIndex = createIndex(['mail', 0], ['index', -5], ['index', 3], ['push', 0]);
    const topics = [
      createCapacity('mail'),
      { ...createCapacity('index', 200), batchSize: 100 },
      createCapacity('push'),
    ];
    const lanes = laneIndex.plan(topics, 10, NOW_MS);
    expect(toNames(lanes)).toEqual(['index -5', 'index 3']);
    expect(lanes.map(({ limit }) => limit)).toEqual([200, 200]);

    const others = laneIndex.plan([{ ...topics[1]!, available: 0 }, topics[0]!, topics[2]!], 10, NOW_MS);
    expect(toNames(others)).toEqual(['mail 0', 'push 0']);
  });

  it('rotates batch handlers and other topics within a priority', () => {
    const laneIndex = createIndex(['mail', 0], ['index', 0]);
    const topics = [createCapacity('mail'), { ...createCapacity('index'), batchSize: 100 }];
    const taken = Array.from({ length: 4 }, () => take(laneIndex, topics, 1).join());
    expect(taken).toEqual(['mail', 'index', 'mail', 'index']);
  });

  it('rotates the topics within a priority', () => {
    const topics = [createCapacity('a'), createCapacity('b'), createCapacity('c')];
    const laneIndex = createIndex(['a', 0], ['b', 0], ['c', 0]);
    const taken = Array.from({ length: 6 }, () => take(laneIndex, topics, 2).join());

    expect(taken).toEqual(['a,a', 'b,b', 'c,c', 'a,a', 'b,b', 'c,c']);
  });

  it('serves each topic equally, even when other topics take all slots in between', () => {
    const laneIndex = createIndex(['a', 0], ['b', 0], ['c', 0]);
    const shared = { available: 1 };
    const [a, b, c] = [{ ...createCapacity('a'), shared }, { ...createCapacity('b'), shared }, createCapacity('c', 1)];
    const taken = Array.from({ length: 40 }, (_, round) =>
      take(laneIndex, round % 3 === 0 ? [c] : [a, b, c], 1 + (round % 2)),
    );
    const times = (topic: string): number => taken.flat().filter((each) => each === topic).length;

    expect(Math.abs(times('a') - times('b'))).toBeLessThanOrEqual(1);
    expect(times('a')).toBeGreaterThan(5);
  });

  it('puts priority before the turns of topics', () => {
    const laneIndex = createIndex(['a', 5], ['b', 0]);
    const firsts = [1, 2, 3].map(
      () => laneIndex.plan([createCapacity('a'), createCapacity('b')], 10, NOW_MS)[0]!.topic,
    );

    expect(firsts).toEqual(['b', 'b', 'b']);
  });

  it('takes only the most urgent lane of a topic with less capacity than the limit', () => {
    const laneIndex = createIndex(['mail', 5], ['mail', -5], ['mail', 0], ['ship', 1], ['ship', 2]);
    const lanes = laneIndex.plan([createCapacity('mail', 3), createCapacity('ship', 10)], 10, NOW_MS);

    expect(lanes.map(({ topic, priority, limit }) => [topic, priority, limit])).toEqual([
      ['mail', -5, 3],
      ['ship', 1, 10],
      ['ship', 2, 10],
    ]);
  });

  it('takes all lanes of a topic with as much capacity as the limit', () => {
    const laneIndex = createIndex(['mail', 5], ['mail', -5]);

    expect(laneIndex.plan([createCapacity('mail', 4)], 4, NOW_MS).map(({ limit }) => limit)).toEqual([4, 4]);
    expect(laneIndex.plan([createCapacity('mail', 9)], 4, NOW_MS).map(({ limit }) => limit)).toEqual([4, 4]);
  });

  it('divides shared capacity among topics with due jobs, in turn', () => {
    const laneIndex = createIndex(['a', 0], ['a', 3], ['b', 0], ['c', 0]);
    const shared = { available: 4 };
    const topics = [
      { ...createCapacity('idle'), shared },
      { ...createCapacity('a'), shared },
      { ...createCapacity('b', 3), shared },
      createCapacity('c'),
    ];
    const taken = [1, 2, 3, 4].map(() =>
      take(laneIndex, topics, 20)
        .filter((topic) => topic !== 'c')
        .join(''),
    );

    expect(taken).toEqual(['aaaa', 'bbba', 'aaaa', 'bbba']);
  });

  it('gives shared capacity to the most urgent lane first', () => {
    const laneIndex = createIndex(['lazy', 500], ['urgent', -500], ['urgent', 7]);
    const shared = { available: 4 };
    const topics = [
      { ...createCapacity('lazy'), shared },
      { ...createCapacity('urgent'), shared },
    ];
    const plans = topics.map(() => laneIndex.plan(topics, 10, NOW_MS));
    expect(plans).toMatchObject(topics.map(() => [{ topic: 'urgent', priority: -500, limit: 4 }]));
  });

  it('leaves out topics without capacity and topics that were not asked for', () => {
    const laneIndex = createIndex(['full', 0], ['free', 0], ['foreign', 0]);

    expect(toNames(laneIndex.plan([createCapacity('full', 0), createCapacity('free')], 10, NOW_MS))).toEqual([
      'free 0',
    ]);
    expect(laneIndex.plan([], 10, NOW_MS)).toEqual([]);
  });

  it('takes at most the 256 most urgent lanes', () => {
    const priorities = Array.from({ length: 300 }, (_, index) => 150 - index);
    const laneIndex = createIndex(...priorities.map((priority) => ['mail', priority] as const));
    const planned = laneIndex.plan([createCapacity('mail')], 10, NOW_MS).map(({ priority }) => priority);

    expect(planned).toEqual(Array.from({ length: 256 }, (_, index) => index - 149));
  });

  it('takes a lane when the job is due that a scan found there, and not before', () => {
    const laneIndex = new LaneIndex();
    const topics = [createCapacity('mail')];
    laneIndex.recordScan(
      topics,
      toLaneScan({ topic: 'mail', priority: 3, dueInMs: 500, isPaused: false, isLimited: false }),
      NOW_MS,
    );

    expect(laneIndex.plan(topics, 10, NOW_MS + 499)).toEqual([]);
    expect(toNames(laneIndex.plan(topics, 10, NOW_MS + 500))).toEqual(['mail 3']);
  });

  describe('of a paused topic', () => {
    const topics = [createCapacity('mail')];
    const waiting = (isPaused: boolean): LaneScan =>
      toLaneScan({ topic: 'mail', priority: 3, dueInMs: 0, isPaused, isLimited: false });
    let laneIndex: LaneIndex;
    const planned = (): string[] => toNames(laneIndex.plan(topics, 10, NOW_MS));

    beforeEach(() => {
      laneIndex = createIndex(['mail', 3], ['mail', 0], ['ship', 0]);
    });

    it.each([
      ['by this process', () => laneIndex.recordPause('mail', true)],
      ['by another process, as a scan reports', () => laneIndex.recordScan(topics, waiting(true), NOW_MS)],
    ])('is empty after a pause %s, until a scan reports the topic as resumed', (_, pause) => {
      pause();
      laneIndex.markDue('mail', -5);
      expect(planned()).toEqual([]);
      expect(laneIndex.isAnyDue(topics, NOW_MS)).toBe(false);
      expect(laneIndex.nextDueAtMs(topics)).toBe(Infinity);
      expect(toNames(laneIndex.plan([...topics, createCapacity('ship')], 10, NOW_MS))).toEqual(['ship 0']);

      laneIndex.recordScan(topics, waiting(false), NOW_MS);
      expect(planned()).toEqual(['mail -5', 'mail 0', 'mail 3']);
    });

    it('has its lanes at once when this process resumes the topic', () => {
      laneIndex.recordPause('mail', true);
      laneIndex.recordPause('mail', false);
      expect(planned()).toEqual(['mail 0', 'mail 3']);
    });

    it('ignores scans that were sent before this process paused or resumed the topic', () => {
      const before = laneIndex.recordSend();
      laneIndex.recordPause('mail', true);
      laneIndex.recordScan(topics, waiting(false), NOW_MS, 'full', before);
      expect(planned()).toEqual([]);
      const meanwhile = laneIndex.recordSend();
      laneIndex.recordPause('mail', false);
      laneIndex.recordScan(topics, waiting(true), NOW_MS, 'full', meanwhile);
      expect(planned()).toEqual(['mail 0', 'mail 3']);
    });

    it('has its lanes after a scan that finds no waiting job, unless this process paused the topic', () => {
      laneIndex.recordScan(topics, waiting(true), NOW_MS);
      laneIndex.recordScan(topics, toLaneScan(), NOW_MS);
      expect(planned()).toEqual(['mail 0', 'mail 3']);
      laneIndex.recordPause('mail', true);
      laneIndex.recordScan(topics, toLaneScan(), NOW_MS);
      expect(planned()).toEqual([]);
    });
  });

  it('for any capacities is ordered and within the limit of each topic', () => {
    const rooms = fc.uniqueArray(
      fc.record({
        topic: fc.constantFrom('a', 'b', 'c', 'd'),
        available: fc.nat({ max: 6 }),
        defaultPriority: fc.integer({ min: -3, max: 3 }),
      }),
      { selector: ({ topic }) => topic },
    );
    const lanes = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.integer({ min: -5, max: 5 })));

    fc.assert(
      fc.property(rooms, lanes, fc.integer({ min: 1, max: 6 }), (topics, armed, limit) => {
        const plan = createIndex(...armed).plan(topics, limit, NOW_MS);

        expect(plan).toEqual([...plan].sort((a, b) => a.priority - b.priority));
        for (const { topic, available } of topics) {
          const own = plan.filter((lane) => lane.topic === topic);
          const planned = own.reduce((sum, lane) => sum + lane.limit, 0);

          expect(available >= limit || planned <= available).toBe(true);
          expect(own.every((lane) => lane.limit >= 1 && lane.limit <= Math.min(available, limit))).toBe(true);
        }
      }),
    );
  });
});

describe('markDue', () => {
  const topics = [createCapacity('mail'), createCapacity('ship')];

  it('with a topic and a priority marks that lane', () => {
    const laneIndex = new LaneIndex();
    laneIndex.markDue('mail', 4);

    expect(toNames(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail 4']);
  });

  it('with a topic marks all its known lanes, the default one included', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(
      topics,
      toLaneScan({ topic: 'mail', priority: 4, dueInMs: Infinity, isPaused: false, isLimited: false }),
      NOW_MS,
    );
    laneIndex.plan(topics, 10, NOW_MS);
    laneIndex.markDue('mail');

    expect(toNames(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail 0', 'mail 4']);
  });

  it('without arguments marks all known lanes', () => {
    const laneIndex = new LaneIndex();
    laneIndex.plan([createCapacity('mail', 10, -7), createCapacity('ship')], 10, NOW_MS);
    laneIndex.markDue();

    expect(toNames(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail -7', 'ship 0']);
  });
});

describe('the result of a claim', () => {
  const topics = [createCapacity('mail'), createCapacity('ship')];

  function recordResult(laneIndex: LaneIndex, brought: readonly Claim[], during: () => void = () => undefined): void {
    const version = laneIndex.recordSend();
    const lanes = laneIndex.plan(topics, 10, NOW_MS);
    during();
    laneIndex.recordClaim({ lanes, limit: Infinity }, brought, version);
  }

  it('is a change since any earlier version', () => {
    const laneIndex = createIndex(['mail', 0]);
    const before = laneIndex.recordSend();
    expect(laneIndex.hasChangedSince(before)).toBe(false);
    laneIndex.recordClaim({ lanes: [], limit: 0 }, [], laneIndex.recordSend());
    expect(laneIndex.hasChangedSince(before)).toBe(true);
  });

  it('removes lanes from the plan that returned less than their limit', () => {
    const laneIndex = createIndex(['mail', 0], ['ship', 0]);
    recordResult(laneIndex, createClaims('mail', 0, 1));

    expect(laneIndex.plan(topics, 10, NOW_MS)).toEqual([]);
    expect(laneIndex.isAnyDue(topics, NOW_MS)).toBe(false);
    expect(laneIndex.nextDueAtMs(topics)).toBe(Infinity);
  });

  it('keeps lanes in the plan that returned as much as their limit', () => {
    const laneIndex = createIndex(['mail', 0], ['ship', 0]);
    recordResult(laneIndex, createClaims('mail', 0, 10));

    expect(toNames(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail 0']);
  });

  it('distinguishes lanes of one topic', () => {
    const laneIndex = createIndex(['mail', 0], ['mail', 1]);
    recordResult(laneIndex, createClaims('mail', 1, 10));

    expect(toNames(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail 1']);
  });

  it.each<[string, (laneIndex: LaneIndex) => void]>([
    ['the lane', (laneIndex) => laneIndex.markDue('mail', 0)],
    ['its topic', (laneIndex) => laneIndex.markDue('mail')],
    ['all lanes', (laneIndex) => laneIndex.markDue()],
  ])('does not unmark lanes when %s was marked during the claim', (_name, arm) => {
    const laneIndex = createIndex(['mail', 0]);
    recordResult(laneIndex, [], () => arm(laneIndex));

    expect(toNames(laneIndex.plan(topics, 10, NOW_MS))).toContain('mail 0');
  });

  it('unmarks lanes that were marked before the claim', () => {
    const laneIndex = createIndex(['mail', 0], ['mail', 0], ['mail', 0]);
    recordResult(laneIndex, []);

    expect(laneIndex.isAnyDue(topics, NOW_MS)).toBe(false);
  });

  it('changes no lane that was not in the plan', () => {
    const laneIndex = createIndex(['mail', 0], ['mail', 1]);
    const limited = [createCapacity('mail', 1)];
    const version = laneIndex.recordSend();
    laneIndex.recordClaim({ lanes: laneIndex.plan(limited, 10, NOW_MS), limit: 10 }, [], version);

    expect(toNames(laneIndex.plan(limited, 10, NOW_MS))).toEqual(['mail 1']);
  });
});
