import { PollLoop } from '../../lib/engine/poll-loop.js';
import { signal } from '../support/wait.js';
import { HOSTILE_VALUES } from '../support/unit/hostile-values.js';
import { RecordingLogger } from '../support/unit/recording-logger.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';

const INTERVAL_MS = 1_000;
/** Of `[0, 1)` the value that leaves the interval as it is. */
const MIDDLE = 0.5;

const THROWN: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['text', 'gone'],
];

type Work = (round: number) => Promise<number | void>;

/** A loop that counts its rounds, on a clock that the test moves. */
class Bench {
  readonly clock = new VirtualClock();
  readonly logger = new RecordingLogger();
  readonly loop: PollLoop;
  /** When each round began. */
  readonly rounds: number[] = [];
  random = MIDDLE;

  constructor(work: Work = async () => undefined, intervalMs = INTERVAL_MS) {
    this.loop = new PollLoop({
      name: 'pruning',
      intervalMs,
      clock: this.clock,
      logger: this.logger,
      random: () => this.random,
      work: () => work(this.rounds.push(this.clock.now())),
    });
  }
}

const fails: Work = async () => {
  throw new Error('no connection');
};

describe('a loop', () => {
  it('does nothing until it is started', async () => {
    const { clock, loop, rounds } = new Bench();
    loop.wake();
    await clock.advance(5 * INTERVAL_MS);

    expect(rounds).toEqual([]);
    expect(clock.waiting).toBe(0);
  });

  it('begins with a round at once, and goes on by its interval', async () => {
    const { clock, loop, rounds } = new Bench();
    loop.start();
    await clock.advance(3 * INTERVAL_MS);

    expect(rounds).toEqual([0, 1_000, 2_000, 3_000]);
  });

  it('counts the interval from the end of a round, and never begins one beside another', async () => {
    const gate = signal();
    const { clock, loop, rounds } = new Bench(() => gate.promise);
    loop.start();
    await clock.advance(5 * INTERVAL_MS);
    expect(rounds).toEqual([0]);

    gate.resolve();
    await clock.advance(INTERVAL_MS);
    expect(rounds).toEqual([0, 6_000]);
  });

  it('moves its interval by a tenth at most, up and down', async () => {
    const bench = new Bench();
    bench.random = 0;
    bench.loop.start();
    await bench.clock.settle();
    expect(bench.clock.nextWakeInMs).toBeCloseTo(900);

    bench.random = 1 - Number.EPSILON;
    await bench.clock.advance(900);
    expect(bench.rounds).toHaveLength(2);
    expect(bench.clock.nextWakeInMs).toBeCloseTo(1_100);
  });

  it('sleeps as long as a round says, exactly', async () => {
    const bench = new Bench(async () => 7);
    bench.random = 0;
    bench.loop.start();
    await bench.clock.advance(21);

    expect(bench.rounds).toEqual([0, 7, 14, 21]);
  });

  it('started twice runs once', async () => {
    const { clock, loop, rounds } = new Bench();
    loop.start();
    loop.start();
    await clock.advance(INTERVAL_MS);
    loop.start();
    await clock.advance(INTERVAL_MS);

    expect(rounds).toEqual([0, 1_000, 2_000]);
    expect(clock.waiting).toBe(1);
  });
});

describe('a loop that is stopped', () => {
  it('does not finish its sleep, and leaves no timer behind', async () => {
    const { clock, loop, rounds } = new Bench();
    loop.start();
    await clock.settle();

    await loop.stop();
    await clock.advance(5 * INTERVAL_MS);

    expect(rounds).toEqual([0]);
    expect(clock.waiting).toBe(0);
  });

  it('finishes the round that is under way, and begins no other', async () => {
    const gate = signal();
    const { clock, loop, rounds } = new Bench(() => gate.promise);
    let isStopped = false;
    loop.start();
    const stopping = loop.stop().then(() => (isStopped = true));
    await clock.settle();
    expect(isStopped).toBe(false);

    gate.resolve();
    await stopping;
    await clock.advance(5 * INTERVAL_MS);
    expect(rounds).toEqual([0]);
    expect(clock.waiting).toBe(0);
  });

  it('begins at once when it is started again during its last round', async () => {
    const gate = signal();
    const { clock, loop, rounds } = new Bench((round) => (round === 1 ? gate.promise : Promise.resolve()));
    loop.start();
    void loop.stop();
    loop.start();
    gate.resolve();
    await clock.advance(1);
    await clock.settle();
    expect(rounds).toHaveLength(2);
  });

  it('may be stopped again, at the same time, later, or before it ever ran', async () => {
    const { clock, loop, rounds } = new Bench();
    await loop.stop();
    loop.start();
    await Promise.all([loop.stop(), loop.stop()]);
    await loop.stop();
    await clock.advance(INTERVAL_MS);

    expect(rounds).toEqual([0]);
  });

  it('may be started again', async () => {
    const { clock, loop, rounds } = new Bench();
    loop.start();
    await loop.stop();
    await clock.advance(500);
    loop.start();
    await clock.advance(INTERVAL_MS);

    expect(rounds).toEqual([0, 500, 1_500]);
  });

  it('stays stopped when it is woken', async () => {
    const { clock, loop, rounds } = new Bench();
    loop.start();
    await loop.stop();
    loop.wake();
    await clock.advance(5 * INTERVAL_MS);

    expect(rounds).toEqual([0]);
  });

  it('ends the pause after a failure, too', async () => {
    const { clock, loop } = new Bench(fails);
    loop.start();
    await clock.settle();

    await loop.stop();
    expect(clock.waiting).toBe(0);
  });
});

describe('a loop that is woken', () => {
  it('ends its sleep at once', async () => {
    const { clock, loop, rounds } = new Bench();
    loop.start();
    await clock.advance(300);
    loop.wake();
    await clock.advance(INTERVAL_MS);

    expect(rounds).toEqual([0, 300, 1_300]);
    expect(clock.waiting).toBe(1);
  });

  it('during a round makes another right after it, and only one however often it was woken', async () => {
    const gate = signal();
    const { clock, loop, rounds } = new Bench((round) => (round === 1 ? gate.promise : Promise.resolve()));
    loop.start();
    loop.wake();
    loop.wake();
    await clock.advance(10);
    expect(rounds).toEqual([0]);

    gate.resolve();
    await clock.advance(10);
    expect(rounds).toEqual([0, 10]);
  });

  it('in the last moment of a round is not forgotten', async () => {
    const bench: Bench = new Bench(async (round) => {
      if (round === 1) bench.loop.wake();
    });
    bench.loop.start();
    await bench.clock.settle();

    expect(bench.rounds).toEqual([0, 0]);
  });

  it('keeps its pause while it fails', async () => {
    const { clock, loop, rounds } = new Bench(fails);
    loop.start();
    await clock.settle();
    const pauseMs = clock.nextWakeInMs;
    for (let wakes = 0; wakes < 10; wakes += 1) loop.wake();
    await clock.advance(pauseMs - 1);
    expect(rounds).toEqual([0]);

    await clock.advance(1);
    expect(rounds).toEqual([0, pauseMs]);
  });
});

describe('a loop that fails', () => {
  it('says so once, with the stack, goes on, and says when it is well again', async () => {
    const { clock, loop, logger, rounds } = new Bench((round) => (round <= 4 ? fails(round) : Promise.resolve()));
    loop.start();
    await clock.advance(60_000);

    expect(rounds.length).toBeGreaterThan(10);
    expect(logger.lines.map(({ level, message }) => [level, message])).toEqual([
      ['error', 'pruning: failed, trying again: no connection'],
      ['log', 'pruning: goes on'],
    ]);
    expect(logger.lines[0]!.stack).toContain('Error: no connection');
  });

  it('says so again when it fails another time after it was well', async () => {
    const { clock, loop, logger } = new Bench((round) => (round % 2 === 1 ? fails(round) : Promise.resolve()));
    loop.start();
    await clock.advance(2.2 * INTERVAL_MS);

    expect(logger.of('error')).toHaveLength(3);
    expect(logger.of('log')).toHaveLength(2);
  });

  it.each([
    [60_000, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]],
    [INTERVAL_MS, [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000]],
    [20, [100, 100, 100, 100, 100, 100, 100, 100]],
  ])(
    'with an interval of %d ms pauses longer after each failure, but never over it or 5 s',
    async (intervalMs, pauses) => {
      expect((await pausesOf(8, { random: 1 - Number.EPSILON, intervalMs })).map(Math.round)).toEqual(pauses);
    },
  );

  it('moves its pauses by up to a half, so that many processes do not come back at once', async () => {
    const pauses = await pausesOf(8, { random: 0, intervalMs: 60_000 });

    expect(pauses).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500]);
  });

  it('begins with the shortest pause again after a round that went well', async () => {
    const { clock, loop, rounds } = new Bench((round) => (round === 4 ? Promise.resolve() : fails(round)));
    loop.start();
    await clock.advance(525 + INTERVAL_MS);

    expect(rounds).toEqual([0, 75, 225, 525, 1_525]);
    expect(clock.nextWakeInMs).toBe(75);
  });

  it.each([...THROWN, ...HOSTILE_VALUES])('goes on when its work throws %s', async (_name, thrown) => {
    const { clock, loop, logger, rounds } = new Bench(async (round) => {
      if (round === 1) throw thrown;
    });
    loop.start();
    await clock.advance(INTERVAL_MS);

    expect(rounds).toEqual([0, 75]);
    expect(logger.lines.map(({ level }) => level)).toEqual(['error', 'log']);
    await loop.stop();
  });

  it('goes on when its work throws before it gives a promise', async () => {
    const { clock, loop, rounds } = new Bench((round) => {
      if (round === 1) throw new Error('at once');
      return Promise.resolve();
    });
    loop.start();
    await clock.advance(75);

    expect(rounds).toEqual([0, 75]);
  });
});

/** The first pauses of a loop whose every round fails. */
async function pausesOf(
  count: number,
  { random, intervalMs }: { random: number; intervalMs: number },
): Promise<number[]> {
  const bench = new Bench(fails, intervalMs);
  const pauses: number[] = [];
  bench.random = random;
  bench.loop.start();
  for (let round = 0; round < count; round += 1) {
    await bench.clock.settle();
    pauses.push(bench.clock.nextWakeInMs);
    await bench.clock.advance(pauses.at(-1)!);
  }
  await bench.loop.stop();
  return pauses;
}
