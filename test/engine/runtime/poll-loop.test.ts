import { PollLoop } from '../../../lib/engine/runtime/poll-loop.js';
import { signal } from '../../support/wait.js';
import { HOSTILE_VALUES } from '../../support/unit/hostile-values.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { logParts } from '../../support/unit/log-parts.js';

const INTERVAL_MS = 1_000;
/** The random number with which jitter is zero. */
const MIDDLE = 0.5;

const THROWN: readonly (readonly [string, unknown])[] = [
  ['undefined', undefined],
  ['null', null],
  ['a string', 'gone'],
];

type Work = (pass: number) => Promise<number | void>;

/** A loop that records its passes, on a virtual clock. */
class Bench {
  readonly clock = new VirtualClock();
  readonly logger = new RecordingLogger();
  readonly loop: PollLoop;
  /** When each pass started. */
  readonly passes: number[] = [];
  random = MIDDLE;

  constructor(work: Work = async () => undefined, intervalMs = INTERVAL_MS) {
    this.loop = new PollLoop({
      name: 'pruning',
      intervalMs,
      ...logParts(this.clock, this.logger),
      random: () => this.random,
      work: () => work(this.passes.push(this.clock.now())),
    });
  }
}

const fails: Work = async () => {
  throw new Error('no connection');
};

describe('a loop', () => {
  it('reports the end of a pass, of one that fails too, and at once while it is stopped', async () => {
    const { clock, loop, passes } = new Bench(async (pass) => (pass === 1 ? undefined : fails(pass)));
    await loop.passed();
    loop.start();
    await loop.passed();
    await clock.advance(0);
    expect(passes).toHaveLength(1);
    const failed = loop.passed();
    await clock.advance(0);
    await failed;
    expect(passes).toHaveLength(2);
    const stopped = loop.passed();
    await loop.stop();
    await stopped;
    expect(passes).toHaveLength(2);
  });

  it('does nothing until it is started', async () => {
    const { clock, loop, passes } = new Bench();
    loop.wake();
    await clock.advance(5 * INTERVAL_MS);

    expect(passes).toEqual([]);
    expect(clock.waiting).toBe(0);
  });

  it('starts with a pass at once and repeats it after each interval', async () => {
    const { clock, loop, passes } = new Bench();
    loop.start();
    await clock.advance(3 * INTERVAL_MS);

    expect(passes).toEqual([0, 1_000, 2_000, 3_000]);
  });

  it('counts the interval from the end of a pass, and never runs two at once', async () => {
    const gate = signal();
    const { clock, loop, passes } = new Bench(() => gate.promise);
    loop.start();
    await clock.advance(5 * INTERVAL_MS);
    expect(passes).toEqual([0]);

    gate.resolve();
    await clock.advance(INTERVAL_MS);
    expect(passes).toEqual([0, 6_000]);
  });

  it('varies its interval by up to 10 %', async () => {
    const bench = new Bench();
    bench.random = 0;
    bench.loop.start();
    await bench.clock.settle();
    expect(bench.clock.nextWakeInMs).toBeCloseTo(900);

    bench.random = 1 - Number.EPSILON;
    await bench.clock.advance(900);
    expect(bench.passes).toHaveLength(2);
    expect(bench.clock.nextWakeInMs).toBeCloseTo(1_100);
  });

  it('sleeps exactly as long as a pass returns', async () => {
    const bench = new Bench(async () => 7);
    bench.random = 0;
    bench.loop.start();
    await bench.clock.advance(21);

    expect(bench.passes).toEqual([0, 7, 14, 21]);
  });

  it('runs once when it is started twice', async () => {
    const { clock, loop, passes } = new Bench();
    loop.start();
    loop.start();
    await clock.advance(INTERVAL_MS);
    loop.start();
    await clock.advance(INTERVAL_MS);

    expect(passes).toEqual([0, 1_000, 2_000]);
    expect(clock.waiting).toBe(1);
  });
});

describe('a loop that is stopped', () => {
  it('ends its sleep and leaves no timer', async () => {
    const { clock, loop, passes } = new Bench();
    loop.start();
    await clock.settle();

    await loop.stop();
    await clock.advance(5 * INTERVAL_MS);

    expect(passes).toEqual([0]);
    expect(clock.waiting).toBe(0);
  });

  it('finishes the current pass and starts no other', async () => {
    const gate = signal();
    const { clock, loop, passes } = new Bench(() => gate.promise);
    let isStopped = false;
    loop.start();
    const stopping = loop.stop().then(() => (isStopped = true));
    await clock.settle();
    expect(isStopped).toBe(false);

    gate.resolve();
    await stopping;
    await clock.advance(5 * INTERVAL_MS);
    expect(passes).toEqual([0]);
    expect(clock.waiting).toBe(0);
  });

  it('runs at once when it is restarted during its last pass', async () => {
    const gate = signal();
    const { clock, loop, passes } = new Bench((pass) => (pass === 1 ? gate.promise : Promise.resolve()));
    loop.start();
    void loop.stop();
    loop.start();
    gate.resolve();
    await clock.advance(1);
    await clock.settle();
    expect(passes).toHaveLength(2);
  });

  it('can be stopped again, concurrently, later, or before it ever ran', async () => {
    const { clock, loop, passes } = new Bench();
    await loop.stop();
    loop.start();
    await Promise.all([loop.stop(), loop.stop()]);
    await loop.stop();
    await clock.advance(INTERVAL_MS);

    expect(passes).toEqual([0]);
  });

  it('can be started again', async () => {
    const { clock, loop, passes } = new Bench();
    loop.start();
    await loop.stop();
    await clock.advance(500);
    loop.start();
    await clock.advance(INTERVAL_MS);

    expect(passes).toEqual([0, 500, 1_500]);
  });

  it('stays stopped after a wake', async () => {
    const { clock, loop, passes } = new Bench();
    loop.start();
    await loop.stop();
    loop.wake();
    await clock.advance(5 * INTERVAL_MS);

    expect(passes).toEqual([0]);
  });

  it('ends the pause after a failure', async () => {
    const { clock, loop } = new Bench(fails);
    loop.start();
    await clock.settle();

    await loop.stop();
    expect(clock.waiting).toBe(0);
  });
});

describe('a loop that is woken', () => {
  it('ends its sleep at once', async () => {
    const { clock, loop, passes } = new Bench();
    loop.start();
    await clock.advance(300);
    loop.wake();
    await clock.advance(INTERVAL_MS);

    expect(passes).toEqual([0, 300, 1_300]);
    expect(clock.waiting).toBe(1);
  });

  it('runs one more pass after the current one, however often it was woken', async () => {
    const gate = signal();
    const { clock, loop, passes } = new Bench((pass) => (pass === 1 ? gate.promise : Promise.resolve()));
    loop.start();
    loop.wake();
    loop.wake();
    await clock.advance(10);
    expect(passes).toEqual([0]);

    gate.resolve();
    await clock.advance(10);
    expect(passes).toEqual([0, 10]);
  });

  it('runs again when it is woken at the end of a pass', async () => {
    const bench: Bench = new Bench(async (pass) => {
      if (pass === 1) bench.loop.wake();
    });
    bench.loop.start();
    await bench.clock.settle();

    expect(bench.passes).toEqual([0, 0]);
  });

  it('keeps its pause after a failure', async () => {
    const { clock, loop, passes } = new Bench(fails);
    loop.start();
    await clock.settle();
    const pauseMs = clock.nextWakeInMs;
    for (let wakes = 0; wakes < 10; wakes += 1) loop.wake();
    await clock.advance(pauseMs - 1);
    expect(passes).toEqual([0]);

    await clock.advance(1);
    expect(passes).toEqual([0, pauseMs]);
  });
});

describe('a loop that fails', () => {
  it('logs the first failure with its stack, and the recovery', async () => {
    const { clock, loop, logger, passes } = new Bench((pass) => (pass <= 4 ? fails(pass) : Promise.resolve()));
    loop.start();
    await clock.advance(60_000);

    expect(passes.length).toBeGreaterThan(10);
    expect(logger.lines.map(({ level, message }) => [level, message])).toEqual([
      ['error', 'pruning: failed, retrying: no connection'],
      ['log', 'pruning: recovered'],
    ]);
    expect(logger.lines[0]!.stack).toContain('Error: no connection');
  });

  it('logs a new failure after a recovery', async () => {
    const { clock, loop, logger } = new Bench((pass) => (pass % 2 === 1 ? fails(pass) : Promise.resolve()));
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
    'with an interval of %d ms pauses longer after each failure, up to the interval or 5 s',
    async (intervalMs, pauses) => {
      expect((await measurePauses(8, { random: 1 - Number.EPSILON, intervalMs })).map(Math.round)).toEqual(pauses);
    },
  );

  it('shortens its pauses by up to 50 % at random', async () => {
    const pauses = await measurePauses(8, { random: 0, intervalMs: 60_000 });

    expect(pauses).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500]);
  });

  it('starts with the shortest pause after a successful pass', async () => {
    const { clock, loop, passes } = new Bench((pass) => (pass === 4 ? Promise.resolve() : fails(pass)));
    loop.start();
    await clock.advance(525 + INTERVAL_MS);

    expect(passes).toEqual([0, 75, 225, 525, 1_525]);
    expect(clock.nextWakeInMs).toBe(75);
  });

  it.each([...THROWN, ...HOSTILE_VALUES])('continues when its work throws %s', async (_name, thrown) => {
    const { clock, loop, logger, passes } = new Bench(async (pass) => {
      if (pass === 1) throw thrown;
    });
    loop.start();
    await clock.advance(INTERVAL_MS);

    expect(passes).toEqual([0, 75]);
    expect(logger.lines.map(({ level }) => level)).toEqual(['error', 'log']);
    await loop.stop();
  });

  it('continues when its work throws synchronously', async () => {
    const { clock, loop, passes } = new Bench((pass) => {
      if (pass === 1) throw new Error('at once');
      return Promise.resolve();
    });
    loop.start();
    await clock.advance(75);

    expect(passes).toEqual([0, 75]);
  });
});

/** The first pauses of a loop that always fails. */
async function measurePauses(
  count: number,
  { random, intervalMs }: { random: number; intervalMs: number },
): Promise<number[]> {
  const bench = new Bench(fails, intervalMs);
  const pauses: number[] = [];
  bench.random = random;
  bench.loop.start();
  for (let pass = 0; pass < count; pass += 1) {
    await bench.clock.settle();
    pauses.push(bench.clock.nextWakeInMs);
    await bench.clock.advance(pauses.at(-1)!);
  }
  await bench.loop.stop();
  return pauses;
}
