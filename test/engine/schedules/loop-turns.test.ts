import { LoopTurns } from '../../../lib/engine/schedules/loop-turns.js';

describe('a long computation in turns of the event loop', () => {
  /** Counts turns of the event loop while `work` runs. */
  async function countTurns(work: Promise<unknown>): Promise<number> {
    let isOver = false;
    let turns = 0;
    const count = (): void => {
      if (!isOver) {
        turns += 1;
        setImmediate(count);
      }
    };
    setImmediate(count);
    await work.finally(() => (isOver = true));
    return turns;
  }

  let timeMs: number;
  const clock = { now: () => timeMs };

  beforeEach(() => {
    timeMs = 0;
  });

  function* compute(steps: number, stepMs: number): Generator<undefined, number> {
    for (let step = 0; step < steps; step += 1) {
      timeMs += stepMs;
      yield;
    }
    return steps;
  }

  it('lets the event loop go on every few milliseconds', async () => {
    const turns = new LoopTurns(clock);
    expect(await countTurns(turns.run(compute(1_000, 1)))).toBeGreaterThanOrEqual(100);
    expect(await turns.run(compute(3, 1))).toBe(3);
  });

  it('counts the work of many short computations together', async () => {
    const turns = new LoopTurns(clock);
    const many = async (): Promise<void> => {
      for (let index = 0; index < 200; index += 1) {
        await turns.run(compute(1, 1));
      }
    };
    expect(await countTurns(many())).toBeGreaterThanOrEqual(20);
  });

  it('does not wait when it is short', async () => {
    expect(await countTurns(new LoopTurns(clock).run(compute(4, 1)))).toBe(0);
  });
});
