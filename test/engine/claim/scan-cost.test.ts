import { ScanCost } from '../../../lib/engine/claim/scan-cost.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const REST_MAX_MS = 1_000;

function createCost(...tookMs: number[]): { cost: ScanCost; clock: VirtualClock } {
  const clock = new VirtualClock();
  const cost = new ScanCost(clock, REST_MAX_MS);
  for (const ms of tookMs) {
    cost.recordStart();
    cost.recordDuration(ms);
  }
  return { cost, clock };
}

describe('the cost of full scans', () => {
  it.each<[tookMs: number[], isHigh: boolean]>([
    [[], false],
    [[64], false],
    [[64, 64], true],
    [[5, 5], false],
    [[5.1, 5.1], true],
    [[64, 64, 5], false],
    [[5, 64, 64], true],
    [[64, 5, 64], false],
  ])('after scans of %j ms is high: %s', (tookMs, isHigh) => {
    expect(createCost(...tookMs).cost.isHigh).toBe(isHigh);
  });

  it('allows full scans for at most a twentieth of the time', async () => {
    const { cost, clock } = createCost(10, 10);
    expect(cost.fullScanInMs).toBe(200);
    await clock.advance(150);
    expect(cost.fullScanInMs).toBe(50);
    await clock.advance(50);
    expect(cost.fullScanInMs).toBe(0);
  });

  it('allows a full scan at least once per interval', () => {
    expect(createCost(640, 640).cost.fullScanInMs).toBe(REST_MAX_MS);
  });

  it('counts the pause from the start of a scan, so that a failed scan is not repeated at once', async () => {
    const { cost, clock } = createCost(10, 10);
    await clock.advance(500);
    cost.recordStart();
    expect(cost.fullScanInMs).toBe(200);
  });

  it('is low after a reset', () => {
    const { cost } = createCost(64, 64);
    cost.reset();
    expect(cost.isHigh).toBe(false);
  });
});
