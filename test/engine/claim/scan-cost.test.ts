import { ScanCost } from '../../../lib/engine/claim/scan-cost.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const REST_MAX_MS = 1_000;

function costOf(...tookMs: number[]): { cost: ScanCost; clock: VirtualClock } {
  const clock = new VirtualClock();
  const cost = new ScanCost(clock, REST_MAX_MS);
  for (const ms of tookMs) {
    cost.recordStart();
    cost.recordDuration(ms);
  }
  return { cost, clock };
}

describe('the cost of full looks', () => {
  it.each<[tookMs: number[], isHigh: boolean]>([
    [[], false],
    [[64], false],
    [[64, 64], true],
    [[5, 5], false],
    [[5.1, 5.1], true],
    [[64, 64, 5], false],
    [[5, 64, 64], true],
    [[64, 5, 64], false],
  ])('after looks of %j ms is high: %s', (tookMs, isHigh) => {
    expect(costOf(...tookMs).cost.isHigh).toBe(isHigh);
  });

  it('takes a twentieth of the time at most', async () => {
    const { cost, clock } = costOf(10, 10);
    expect(cost.fullScanInMs).toBe(200);
    await clock.advance(150);
    expect(cost.fullScanInMs).toBe(50);
    await clock.advance(50);
    expect(cost.fullScanInMs).toBe(0);
  });

  it('is borne more often when the looks would be too rare otherwise', () => {
    expect(costOf(640, 640).cost.fullScanInMs).toBe(REST_MAX_MS);
  });

  it('counts the rest from when a look was asked for, so that a look without an answer is not asked for at once again', async () => {
    const { cost, clock } = costOf(10, 10);
    await clock.advance(500);
    cost.recordStart();
    expect(cost.fullScanInMs).toBe(200);
  });

  it('is forgotten when somebody wants to know for sure', () => {
    const { cost } = costOf(64, 64);
    cost.reset();
    expect(cost.isHigh).toBe(false);
  });
});
