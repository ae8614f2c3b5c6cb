import fc from 'fast-check';
import type { Claim } from '../../../lib/core/job.js';
import type { TopicCapacity } from '../../../lib/engine/claim/claim-capacity.js';
import { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import type { LaneScan } from '../../../lib/store/job-store.js';
import { claimOf, toLaneScan } from '../../support/unit/waiting-jobs.js';

const NOW_MS = 1_000;

function roomFor(topic: string, room = 10, usualPriority = 0): TopicCapacity {
  return { topic, available: room, defaultPriority: usualPriority };
}

function claims(topic: string, priority: number, count: number): Claim[] {
  return Array.from({ length: count }, () => claimOf({ topic, priority }));
}

/** The lanes of a plan, as `topic priority`. */
function namesOf(lanes: readonly { topic: string; priority: number }[]): string[] {
  return lanes.map(({ topic, priority }) => `${topic} ${priority}`);
}

/** A laneIndex that knows these lanes, with a due job in each. */
function bookOf(...lanes: (readonly [topic: string, priority: number])[]): LaneIndex {
  const laneIndex = new LaneIndex();
  lanes.forEach(([topic, priority]) => laneIndex.markDue(topic, priority));
  return laneIndex;
}

/** Plans, and claims as many as each lane may give, until there are enough. */
function take(laneIndex: LaneIndex, topics: readonly TopicCapacity[], count: number): string[] {
  const version = laneIndex.startRequest();
  const lanes = laneIndex.plan(topics, count, NOW_MS);
  const all = lanes.flatMap(({ topic, priority, limit }) => claims(topic, priority, limit));
  const taken = all.slice(0, count);
  laneIndex.recordClaim({ lanes, limit: count }, taken, version);
  return taken.map(({ topic }) => topic);
}

describe('a plan', () => {
  it('asks nothing of a laneIndex in which nothing is known to be due', () => {
    expect(new LaneIndex().plan([roomFor('mail')], 10, NOW_MS)).toEqual([]);
  });

  it('asks for the most urgent lanes first, over all topics', () => {
    const laneIndex = bookOf(['mail', 0], ['ship', -5], ['mail', -10], ['ship', 7], ['mail', 1_000]);
    const lanes = laneIndex.plan([roomFor('mail'), roomFor('ship')], 10, NOW_MS);

    expect(namesOf(lanes)).toEqual(['mail -10', 'ship -5', 'mail 0', 'ship 7', 'mail 1000']);
    expect(lanes[0]).toEqual({ topic: 'mail', priority: -10, lowerBound: null, limit: 10 });
  });

  it('lets the topics take turns within a priority', () => {
    const topics = [roomFor('a'), roomFor('b'), roomFor('c')];
    const laneIndex = bookOf(['a', 0], ['b', 0], ['c', 0]);
    const taken = Array.from({ length: 6 }, () => take(laneIndex, topics, 2).join());

    expect(taken).toEqual(['a,a', 'b,b', 'c,c', 'a,a', 'b,b', 'c,c']);
  });

  it('gives each topic its turn, though others come and go between, or take all slots', () => {
    const laneIndex = bookOf(['a', 0], ['b', 0], ['c', 0]);
    const shared = { available: 1 };
    const [a, b, c] = [{ ...roomFor('a'), shared }, { ...roomFor('b'), shared }, roomFor('c', 1)];
    const taken = Array.from({ length: 40 }, (_, round) =>
      take(laneIndex, round % 3 === 0 ? [c] : [a, b, c], 1 + (round % 2)),
    );
    const times = (topic: string): number => taken.flat().filter((each) => each === topic).length;

    expect(Math.abs(times('a') - times('b'))).toBeLessThanOrEqual(1);
    expect(times('a')).toBeGreaterThan(5);
  });

  it('never lets a turn stand above a priority', () => {
    const laneIndex = bookOf(['a', 5], ['b', 0]);
    const firsts = [1, 2, 3].map(() => laneIndex.plan([roomFor('a'), roomFor('b')], 10, NOW_MS)[0]!.topic);

    expect(firsts).toEqual(['b', 'b', 'b']);
  });

  it('asks one lane, the most urgent, of a topic with less room than slots, so that its limit is exact', () => {
    const laneIndex = bookOf(['mail', 5], ['mail', -5], ['mail', 0], ['ship', 1], ['ship', 2]);
    const lanes = laneIndex.plan([roomFor('mail', 3), roomFor('ship', 10)], 10, NOW_MS);

    expect(lanes.map(({ topic, priority, limit }) => [topic, priority, limit])).toEqual([
      ['mail', -5, 3],
      ['ship', 1, 10],
      ['ship', 2, 10],
    ]);
  });

  it('asks all lanes of a topic that has as much room as there are slots, or more', () => {
    const laneIndex = bookOf(['mail', 5], ['mail', -5]);

    expect(laneIndex.plan([roomFor('mail', 4)], 4, NOW_MS).map(({ limit }) => limit)).toEqual([4, 4]);
    expect(laneIndex.plan([roomFor('mail', 9)], 4, NOW_MS).map(({ limit }) => limit)).toEqual([4, 4]);
  });

  it('gives what topics have together to those with due jobs, in turn, and no more than it is', () => {
    const laneIndex = bookOf(['a', 0], ['a', 3], ['b', 0], ['c', 0]);
    const shared = { available: 4 };
    const topics = [
      { ...roomFor('idle'), shared },
      { ...roomFor('a'), shared },
      { ...roomFor('b', 3), shared },
      roomFor('c'),
    ];
    const taken = [1, 2, 3, 4].map(() =>
      take(laneIndex, topics, 20)
        .filter((topic) => topic !== 'c')
        .join(''),
    );

    expect(taken).toEqual(['aaaa', 'bbba', 'aaaa', 'bbba']);
  });

  it('gives what topics have together to what is urgent first, whoever has the turn', () => {
    const laneIndex = bookOf(['lazy', 500], ['urgent', -500], ['urgent', 7]);
    const shared = { available: 4 };
    const topics = [
      { ...roomFor('lazy'), shared },
      { ...roomFor('urgent'), shared },
    ];
    const plans = topics.map(() => laneIndex.plan(topics, 10, NOW_MS));
    expect(plans).toMatchObject(topics.map(() => [{ topic: 'urgent', priority: -500, limit: 4 }]));
  });

  it('leaves topics out that have no room, or were not asked for', () => {
    const laneIndex = bookOf(['full', 0], ['free', 0], ['foreign', 0]);

    expect(namesOf(laneIndex.plan([roomFor('full', 0), roomFor('free')], 10, NOW_MS))).toEqual(['free 0']);
    expect(laneIndex.plan([], 10, NOW_MS)).toEqual([]);
  });

  it('asks at most 256 lanes, the most urgent of all', () => {
    const priorities = Array.from({ length: 300 }, (_, index) => 150 - index);
    const laneIndex = bookOf(...priorities.map((priority) => ['mail', priority] as const));
    const asked = laneIndex.plan([roomFor('mail')], 10, NOW_MS).map(({ priority }) => priority);

    expect(asked).toEqual(Array.from({ length: 256 }, (_, index) => index - 149));
  });

  it('asks a lane when the job is due that a scan has seen there, and not before', () => {
    const laneIndex = new LaneIndex();
    const topics = [roomFor('mail')];
    laneIndex.recordScan(topics, toLaneScan({ topic: 'mail', priority: 3, dueInMs: 500, isPaused: false }), NOW_MS);

    expect(laneIndex.plan(topics, 10, NOW_MS + 499)).toEqual([]);
    expect(namesOf(laneIndex.plan(topics, 10, NOW_MS + 500))).toEqual(['mail 3']);
  });

  describe('of a paused topic', () => {
    const topics = [roomFor('mail')];
    const waiting = (isPaused: boolean): LaneScan => toLaneScan({ topic: 'mail', priority: 3, dueInMs: 0, isPaused });
    let laneIndex: LaneIndex;
    const asked = (): string[] => namesOf(laneIndex.plan(topics, 10, NOW_MS));

    beforeEach(() => {
      laneIndex = bookOf(['mail', 3], ['mail', 0], ['ship', 0]);
    });

    it.each([
      ['here', () => laneIndex.recordPause('mail', true)],
      ['elsewhere, as a scan has seen', () => laneIndex.recordScan(topics, waiting(true), NOW_MS)],
    ])('asks no lane, whatever is announced, until a scan sees that its jobs may be claimed: %s', (_, pause) => {
      pause();
      laneIndex.markDue('mail', -5);
      expect(asked()).toEqual([]);
      expect(laneIndex.isAnyDue(topics, NOW_MS)).toBe(false);
      expect(laneIndex.nextDueAtMs(topics)).toBe(Infinity);
      expect(namesOf(laneIndex.plan([...topics, roomFor('ship')], 10, NOW_MS))).toEqual(['ship 0']);

      laneIndex.recordScan(topics, waiting(false), NOW_MS);
      expect(asked()).toEqual(['mail -5', 'mail 0', 'mail 3']);
    });

    it('asks them at once when it is resumed here', () => {
      laneIndex.recordPause('mail', true);
      laneIndex.recordPause('mail', false);
      expect(asked()).toEqual(['mail 0', 'mail 3']);
    });

    it('believes no scan that was asked before it was paused or resumed here', () => {
      const before = laneIndex.startRequest();
      laneIndex.recordPause('mail', true);
      laneIndex.recordScan(topics, waiting(false), NOW_MS, 'full', before);
      expect(asked()).toEqual([]);
      const meanwhile = laneIndex.startRequest();
      laneIndex.recordPause('mail', false);
      laneIndex.recordScan(topics, waiting(true), NOW_MS, 'full', meanwhile);
      expect(asked()).toEqual(['mail 0', 'mail 3']);
    });

    it('asks them when nothing of it waits any more, unless it was paused here: then nothing has seen it resumed', () => {
      laneIndex.recordScan(topics, waiting(true), NOW_MS);
      laneIndex.recordScan(topics, toLaneScan(), NOW_MS);
      expect(asked()).toEqual(['mail 0', 'mail 3']);
      laneIndex.recordPause('mail', true);
      laneIndex.recordScan(topics, toLaneScan(), NOW_MS);
      expect(asked()).toEqual([]);
    });
  });

  it('for any rooms stays within the limit of each topic with fewer places than slots, and is ordered', () => {
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
        const plan = bookOf(...armed).plan(topics, limit, NOW_MS);

        expect(plan).toEqual([...plan].sort((a, b) => a.priority - b.priority));
        for (const { topic, available } of topics) {
          const own = plan.filter((lane) => lane.topic === topic);
          const places = own.reduce((sum, lane) => sum + lane.limit, 0);

          expect(available >= limit || places <= available).toBe(true);
          expect(own.every((lane) => lane.limit >= 1 && lane.limit <= Math.min(available, limit))).toBe(true);
        }
      }),
    );
  });
});

describe('arming', () => {
  const topics = [roomFor('mail'), roomFor('ship')];

  it('of one lane is about that lane', () => {
    const laneIndex = new LaneIndex();
    laneIndex.markDue('mail', 4);

    expect(namesOf(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail 4']);
  });

  it('of a topic is about all its known lanes, the usual one among them', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(
      topics,
      toLaneScan({ topic: 'mail', priority: 4, dueInMs: Infinity, isPaused: false }),
      NOW_MS,
    );
    laneIndex.plan(topics, 10, NOW_MS);
    laneIndex.markDue('mail');

    expect(namesOf(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail 0', 'mail 4']);
  });

  it('of nothing in particular is about all known lanes', () => {
    const laneIndex = new LaneIndex();
    laneIndex.plan([roomFor('mail', 10, -7), roomFor('ship')], 10, NOW_MS);
    laneIndex.markDue();

    expect(namesOf(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail -7', 'ship 0']);
  });
});

describe('what a claim brought', () => {
  const topics = [roomFor('mail'), roomFor('ship')];

  function settleWith(laneIndex: LaneIndex, brought: readonly Claim[], during: () => void = () => undefined): void {
    const version = laneIndex.startRequest();
    const lanes = laneIndex.plan(topics, 10, NOW_MS);
    during();
    laneIndex.recordClaim({ lanes, limit: Infinity }, brought, version);
  }

  it('is news to whoever has looked before', () => {
    const laneIndex = bookOf(['mail', 0]);
    const lookedIn = laneIndex.startRequest();
    expect(laneIndex.hasChangedSince(lookedIn)).toBe(false);
    laneIndex.recordClaim({ lanes: [], limit: 0 }, [], laneIndex.startRequest());
    expect(laneIndex.hasChangedSince(lookedIn)).toBe(true);
  });

  it('takes lanes out of the plan that gave less than was asked', () => {
    const laneIndex = bookOf(['mail', 0], ['ship', 0]);
    settleWith(laneIndex, claims('mail', 0, 1));

    expect(laneIndex.plan(topics, 10, NOW_MS)).toEqual([]);
    expect(laneIndex.isAnyDue(topics, NOW_MS)).toBe(false);
    expect(laneIndex.nextDueAtMs(topics)).toBe(Infinity);
  });

  it('keeps lanes in the plan that gave all that was asked', () => {
    const laneIndex = bookOf(['mail', 0], ['ship', 0]);
    settleWith(laneIndex, claims('mail', 0, 10));

    expect(namesOf(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail 0']);
  });

  it('tells lanes of one topic apart by their priority', () => {
    const laneIndex = bookOf(['mail', 0], ['mail', 1]);
    settleWith(laneIndex, claims('mail', 1, 10));

    expect(namesOf(laneIndex.plan(topics, 10, NOW_MS))).toEqual(['mail 1']);
  });

  it.each<[string, (laneIndex: LaneIndex) => void]>([
    ['the lane', (laneIndex) => laneIndex.markDue('mail', 0)],
    ['its topic', (laneIndex) => laneIndex.markDue('mail')],
    ['anything', (laneIndex) => laneIndex.markDue()],
  ])('does not undo the arming of %s while the claim was under way', (_name, arm) => {
    const laneIndex = bookOf(['mail', 0]);
    settleWith(laneIndex, [], () => arm(laneIndex));

    expect(namesOf(laneIndex.plan(topics, 10, NOW_MS))).toContain('mail 0');
  });

  it('undoes the arming of before the claim, however often it was said', () => {
    const laneIndex = bookOf(['mail', 0], ['mail', 0], ['mail', 0]);
    settleWith(laneIndex, []);

    expect(laneIndex.isAnyDue(topics, NOW_MS)).toBe(false);
  });

  it('says nothing of lanes that were not asked', () => {
    const laneIndex = bookOf(['mail', 0], ['mail', 1]);
    const limited = [roomFor('mail', 1)];
    const version = laneIndex.startRequest();
    laneIndex.recordClaim({ lanes: laneIndex.plan(limited, 10, NOW_MS), limit: 10 }, [], version);

    expect(namesOf(laneIndex.plan(limited, 10, NOW_MS))).toEqual(['mail 1']);
  });
});
