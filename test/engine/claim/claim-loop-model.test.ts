import type { ClaimSource } from '../../../lib/engine/claim/claim-loop.js';
import type { TopicInsides } from './claim-loop-insides.js';
import { insides } from './claim-loop-insides.js';
import type { Bounds, Mutant, Saved } from './claim-loop-world.js';
import { World } from './claim-loop-world.js';

/* The claim loop in all orders of events near its start: see `claim-loop-world.ts`. */

interface Explored {
  readonly states: number;
  /** The first fault of each kind, and the events before it. */
  readonly faults: ReadonlyMap<string, readonly string[]>;
}

/** How many states are visited, the nearest to the start first. A busy machine visits some 3,000 in a second. */
const STATES_MAX = 2_500;
/** Every tenth state is followed until all jobs have ended; that takes fewer events than this. */
const ENDING_EVERY = 10;
const ENDING_MAX = 150;

/** Visits states in the order of their distance from the start. Ends at the first fault if `stopsAtFault`. */
async function explore(bounds: Bounds, mutant?: Mutant, stopsAtFault = false): Promise<Explored> {
  const world = new World(bounds, mutant);
  const faults = new Map<string, readonly string[]>();
  const seen = new Set([world.key()]);
  const states: { readonly saved: Saved; readonly from: number; readonly event: string }[] = [
    { saved: world.save(), from: -1, event: '' },
  ];
  const path = (at: number): string[] => (at > 0 ? [...path(states[at]!.from), states[at]!.event] : []);
  const report = (...events: string[]): void => {
    world.faults.forEach((fault) => faults.set(fault, faults.get(fault) ?? events));
    world.faults.clear();
  };
  for (let at = 0; at < states.length && at < STATES_MAX && !(stopsAtFault && faults.size > 0); at += 1) {
    const { saved } = states[at]!;
    world.restore(saved);
    for (const [event] of [...world.events()]) {
      world.restore(saved);
      await world.run([...world.events()].find(([name]) => name === event)![1]);
      report(...path(at), event);
      const key = world.key();
      if (!seen.has(key)) {
        seen.add(key);
        states.push({ saved: world.save(), from: at, event });
      }
    }
    if (at % ENDING_EVERY === 0) {
      world.restore(saved);
      await runToEnd(world);
      report(...path(at));
    }
  }
  return { states: seen.size, faults };
}

/** No more jobs arrive and nothing fails: the loop must run all jobs. */
async function runToEnd(world: World): Promise<void> {
  for (let events = 0; events < ENDING_MAX && !world.isDrained; events += 1) {
    const [, event] = [...world.events()].find(([name]) => !/^stop|^a job|lock$|fails$/.test(name))!;
    await world.run(event);
  }
  if (!world.isDrained) world.faults.add('a job never ends');
}

const ONE_TOPIC: Bounds = { topics: ['a'], slots: 2, jobs: 3, failures: 0, stops: 0 };

/** Changes of the loop or of a source, and the fault that each must cause. */
const MUTANTS: readonly [name: string, fault: string, mutant: Mutant, bounds?: Bounds][] = [
  [
    'no pick after a claim in `full`',
    'a source wants slots, a slot is free, and no claim was sent',
    ({ loop }) => {
      const members = insides(loop);
      const [onClaimed, planPick] = [members.onClaimed.bind(loop), members.planPick.bind(loop)];
      members.onClaimed = (...args) => {
        members.planPick = loop.mode === 'full' ? () => undefined : planPick;
        onClaimed(...args);
        members.planPick = planPick;
      };
    },
  ],
  [
    'announcements without a version of their own',
    'a known job waits for a poll',
    (world) => void (world.versionStep = 0),
  ],
  [
    'a hold that the end of a job does not lift',
    'a known job waits for a poll',
    ({ topics }) =>
      topics.forEach(
        (topic) => (topic.recordEnd = () => void ((topic as unknown as TopicInsides).news.hasJobEnded = true)),
      ),
  ],
  [
    'all free slots for the first source',
    'more than half of the slots',
    (world) =>
      [world.lanes, ...world.topics.values()].forEach((source) => {
        const request = (source as ClaimSource).request.bind(source);
        (source as ClaimSource).request = (share, nowMs) => request({ ...share, slots: world.free }, nowMs);
      }),
  ],
  [
    'topics before lanes, always',
    'a source starves',
    ({ loop, lanes }) => {
      const members = insides(loop);
      members.longestUnserved = (wanting) =>
        [...wanting].find((source) => source === (lanes as ClaimSource) || members.topicClaims === 0);
    },
    { ...ONE_TOPIC, slots: 1 },
  ],
];

describe('the claim loop', () => {
  it.each<[string, Bounds]>([
    ['lanes and a topic, two slots, three jobs', ONE_TOPIC],
    ['a failure', { ...ONE_TOPIC, jobs: 2, failures: 1 }],
    ['a stop', { ...ONE_TOPIC, jobs: 2, stops: 1 }],
    ['one slot', { ...ONE_TOPIC, slots: 1 }],
    ['two topics', { ...ONE_TOPIC, topics: ['a', 'b'], jobs: 2 }],
    ['lanes alone', { topics: [], slots: 2, jobs: 3, failures: 1, stops: 1 }],
  ])('gets neither stuck nor unfair: %s', async (_, bounds) => {
    const { states, faults } = await explore(bounds);
    expect([...faults]).toEqual([]);
    expect(states).toBeGreaterThan(1_000);
  });

  it.each(MUTANTS)('would be found with %s', async (_, fault, mutant, bounds = ONE_TOPIC) => {
    const { faults } = await explore(bounds, mutant, true);
    expect([...faults.keys()]).toContain(fault);
  });
});
