import type { Claim } from '../../../lib/core/job.js';
import type { ScanMode } from '../../../lib/engine/claim/lane-index.js';
import { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import { COMMIT_MARGIN_MS } from '../../../lib/engine/claim/scan-cost.js';
import { createDueClaim, LIMIT, NOW_MS, capacities, createScan } from '../../support/unit/mail-lane.js';

/** Where claims of the lane start, plus the commit margin; `null` for the start of the index. */
function getBound(laneIndex: LaneIndex, reach: ScanMode = 'bounded'): number | null {
  const [start] = laneIndex.starts(capacities, reach);
  return start!.lowerBound === null ? null : Date.parse(start!.lowerBound) + COMMIT_MARGIN_MS;
}

/** A planned claim that returned these jobs; `during` runs while it is in flight. */
function simulateClaim(laneIndex: LaneIndex, brought: readonly Claim[], during: () => void = () => undefined): void {
  const version = laneIndex.recordSend();
  const lanes = laneIndex.plan(capacities, LIMIT, 0, 'bounded');
  during();
  laneIndex.recordClaim({ lanes, limit: LIMIT }, brought, version);
}

const full = (...dueAtMs: number[]): Claim[] =>
  Array.from({ length: LIMIT }, (_, index) => createDueClaim(dueAtMs[index] ?? dueAtMs.at(-1)!));

function createIndex(): LaneIndex {
  const laneIndex = new LaneIndex();
  laneIndex.markDue('mail', 0);
  return laneIndex;
}

describe('the lower bound of a lane', () => {
  it('does not exist before the first claim or scan, nor in a full plan', () => {
    const laneIndex = createIndex();
    expect(getBound(laneIndex)).toBeNull();
    simulateClaim(laneIndex, full(NOW_MS - 500));
    expect(getBound(laneIndex, 'full')).toBeNull();
    expect(laneIndex.plan(capacities, LIMIT, 0)).toMatchObject([{ lowerBound: null }]);
    expect(laneIndex.plan(capacities, LIMIT, 0, 'bounded')).not.toMatchObject([{ lowerBound: null }]);
  });

  it('follows the last claimed job, a margin behind', () => {
    const laneIndex = createIndex();
    simulateClaim(laneIndex, full(NOW_MS - 900, NOW_MS - 700));
    expect(getBound(laneIndex)).toBe(NOW_MS - 700);
    simulateClaim(laneIndex, full(NOW_MS - 690, NOW_MS - 500));
    expect(getBound(laneIndex)).toBe(NOW_MS - 500);
    simulateClaim(laneIndex, full(NOW_MS - 560));
    expect(getBound(laneIndex)).toBe(NOW_MS - 500);
  });

  it('is the time of the claim when the lane returned less than its limit', () => {
    const laneIndex = createIndex();
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 900)]);
    expect(getBound(laneIndex)).toBe(NOW_MS);
  });

  it('follows a database clock that was set back', () => {
    const laneIndex = createIndex();
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 900)]);
    laneIndex.markDue('mail', 0);
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 80_000, NOW_MS - 70_000)]);
    expect(getBound(laneIndex)).toBe(NOW_MS - 70_000);
  });

  it('is the due time of the first job that a full scan found', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(capacities, createScan(NOW_MS - 4_000), 0);
    expect(getBound(laneIndex)).toBe(NOW_MS - 4_000);
  });

  it.each([
    ['no job waits', null],
    ['the first job is due tomorrow', NOW_MS + 86_400_000],
  ])('is the time of a full scan when %s', (_name, first) => {
    const laneIndex = new LaneIndex();
    laneIndex.starts(capacities, 'full');
    laneIndex.recordScan(capacities, createScan(first), 0);
    expect(getBound(laneIndex)).toBe(NOW_MS);
  });

  it('does not change by a bounded scan, which forgets no lane', () => {
    const laneIndex = new LaneIndex();
    laneIndex.markDue('mail', 7);
    laneIndex.recordScan(capacities, { waiting: [], keyed: [], at: new Date(NOW_MS), tookMs: 64 }, 0);
    const before = laneIndex.starts(capacities, 'bounded');
    const lanes = laneIndex.plan(capacities, LIMIT, 0, 'bounded');
    laneIndex.recordClaim({ lanes, limit: LIMIT }, [], laneIndex.recordSend());
    laneIndex.recordScan(capacities, createScan(null, NOW_MS + 5_000), 0, 'bounded', laneIndex.recordSend());
    expect(laneIndex.starts(capacities, 'bounded')).toEqual(before);
    laneIndex.recordScan(capacities, createScan(null, NOW_MS + 5_000), 0);
    expect(laneIndex.starts(capacities, 'bounded')).toHaveLength(1);
  });
});

describe('a job below the lower bound', () => {
  /** An index with a bound: all due jobs are claimed. */
  function createBoundedIndex(): LaneIndex {
    const laneIndex = createIndex();
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 10)]);
    return laneIndex;
  }

  const LATE_MS = NOW_MS - 5_000;
  /** The bound has no margin where a job is known to wait. */
  const lateBound = LATE_MS + COMMIT_MARGIN_MS;

  it('is claimed when this process stored it', () => {
    const laneIndex = createBoundedIndex();
    laneIndex.markDue('mail', 0, new Date(LATE_MS));
    expect(getBound(laneIndex)).toBe(lateBound);
    simulateClaim(laneIndex, [createDueClaim(LATE_MS)]);
    expect(getBound(laneIndex)).toBe(NOW_MS);
  });

  it('is claimed when a background scan found it', () => {
    const laneIndex = createBoundedIndex();
    const starts = laneIndex.starts(capacities, 'bounded');
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(false);
    expect(laneIndex.recordBackgroundScan(starts, createScan(LATE_MS))).toBe(true);
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(true);
    expect(getBound(laneIndex)).toBe(lateBound);
  });

  it('does not include jobs at or above the bound or due later', () => {
    const laneIndex = createBoundedIndex();
    const starts = laneIndex.starts(capacities, 'bounded');
    const bound = getBound(laneIndex)!;
    for (const first of [bound - COMMIT_MARGIN_MS, bound, NOW_MS + 5_000, null]) {
      expect(laneIndex.recordBackgroundScan(starts, createScan(first))).toBe(false);
    }
    expect(getBound(laneIndex)).toBe(bound);
  });

  it('is compared with the bound at the start of the background scan', () => {
    const laneIndex = createIndex();
    simulateClaim(laneIndex, full(NOW_MS - 9_000));
    const starts = laneIndex.starts(capacities, 'bounded');
    simulateClaim(laneIndex, full(NOW_MS - 1_000));
    expect(laneIndex.recordBackgroundScan(starts, createScan(NOW_MS - 8_000))).toBe(false);
    expect(getBound(laneIndex)).toBe(NOW_MS - 1_000);
  });

  it('gives a bound to a lane that had none', () => {
    const laneIndex = new LaneIndex();
    const starts = laneIndex.starts(capacities, 'bounded');
    expect(laneIndex.recordBackgroundScan(starts, createScan(LATE_MS))).toBe(false);
    expect(getBound(laneIndex)).toBe(LATE_MS);
  });

  it('raises the bound as it and the jobs before it are claimed', () => {
    const laneIndex = createBoundedIndex();
    laneIndex.markDue('mail', 0, new Date(LATE_MS));
    simulateClaim(laneIndex, full(LATE_MS, LATE_MS + 300));
    expect(getBound(laneIndex)).toBe(lateBound + 300);
    simulateClaim(laneIndex, full(LATE_MS + 900));
    expect(getBound(laneIndex)).toBe(lateBound + 900);
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 1)]);
    expect(getBound(laneIndex)).toBe(NOW_MS);
  });

  it('is left to the next background scan while it is locked', () => {
    const laneIndex = createBoundedIndex();
    laneIndex.markDue('mail', 0, new Date(LATE_MS));
    simulateClaim(laneIndex, []);
    expect(getBound(laneIndex)).toBe(NOW_MS);
  });

  it.each<[string, (laneIndex: LaneIndex, during: () => void) => void]>([
    [
      'a claim of all that was due',
      (laneIndex, during) => simulateClaim(laneIndex, [createDueClaim(NOW_MS - 5)], during),
    ],
    ['a full claim', (laneIndex, during) => simulateClaim(laneIndex, full(NOW_MS - 1_000), during)],
    [
      'a scan',
      (laneIndex, during) => {
        const version = laneIndex.recordSend();
        during();
        laneIndex.recordScan(capacities, createScan(null), 0, 'full', version);
      },
    ],
  ])('is claimed when it was stored during %s that raised the bound', (_name, request) => {
    const laneIndex = createIndex();
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 9_000, NOW_MS - 8_000)]);
    request(laneIndex, () => laneIndex.markDue('mail', 0, new Date(LATE_MS)));
    expect(getBound(laneIndex)).toBe(lateBound);
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(true);
    simulateClaim(laneIndex, [createDueClaim(LATE_MS)]);
    expect(getBound(laneIndex)).toBe(NOW_MS);
  });

  it('is claimed when it was stored between two claims in flight', () => {
    const laneIndex = createIndex();
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 9_000, NOW_MS - 8_000)]);
    const first = laneIndex.recordSend();
    laneIndex.plan(capacities, LIMIT, 0, 'bounded');
    laneIndex.markDue('mail', 0, new Date(LATE_MS));
    const second = laneIndex.recordSend();
    const lanes = laneIndex.plan(capacities, LIMIT, 0, 'bounded');
    laneIndex.markDue('mail', 0, new Date(NOW_MS));
    laneIndex.recordClaim({ lanes, limit: LIMIT }, full(NOW_MS - 1_000), first);
    expect(getBound(laneIndex)).toBe(lateBound);
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(true);
    laneIndex.recordClaim({ lanes, limit: LIMIT }, [createDueClaim(LATE_MS)], second);
    expect(getBound(laneIndex)).not.toBe(lateBound);
  });

  it('is claimed when it returned to waiting during a claim that raised the bound', () => {
    const laneIndex = createIndex();
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 9_000, NOW_MS - 8_000)]);
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 5)], () => laneIndex.expect('mail', 0, new Date(LATE_MS)));
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(true);
    expect(getBound(laneIndex)).toBe(lateBound);
  });

  it('causes no claim when it returned to waiting above the bound', () => {
    const laneIndex = createBoundedIndex();
    laneIndex.expect('mail', 0, new Date(NOW_MS + 60_000));
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(false);
    expect(getBound(laneIndex)).toBe(NOW_MS);
  });

  it('is not forgotten when it was stored during a claim', () => {
    const laneIndex = createBoundedIndex();
    laneIndex.markDue('mail', 0);
    simulateClaim(laneIndex, [createDueClaim(NOW_MS - 5)], () => laneIndex.markDue('mail', 0, new Date(LATE_MS)));
    expect(getBound(laneIndex)).toBe(lateBound);
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(true);
  });
});

describe('a lane of a paused topic', () => {
  const FIRST_MS = NOW_MS - 5_000;

  it('has no due job until a scan reports the topic as resumed', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(capacities, createScan(FIRST_MS, NOW_MS, true), 0);
    laneIndex.markDue('mail');
    laneIndex.markDue('mail', 0, new Date(NOW_MS));
    expect(laneIndex.plan(capacities, LIMIT, 0)).toEqual([]);
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(false);
    expect(laneIndex.nextDueAtMs(capacities)).toBe(Infinity);
    laneIndex.recordScan(capacities, createScan(FIRST_MS), 0);
    expect(laneIndex.isAnyDue(capacities, 0)).toBe(true);
    expect(laneIndex.plan(capacities, LIMIT, 0)).toHaveLength(1);
  });

  it('has a bound at or below the first waiting job that scans found', () => {
    const scanned = new LaneIndex();
    scanned.recordScan(capacities, createScan(FIRST_MS, NOW_MS, true), 0);
    expect(getBound(scanned)).toBe(FIRST_MS);

    // The topic was paused after the last scan, so a claim returned nothing and raised the bound.
    const passed = createIndex();
    simulateClaim(passed, [createDueClaim(NOW_MS - 10)]);
    expect(getBound(passed)).toBe(NOW_MS);
    expect(passed.recordBackgroundScan(passed.starts(capacities, 'bounded'), createScan(FIRST_MS, NOW_MS, true))).toBe(
      false,
    );
    expect(getBound(passed)).toBe(FIRST_MS + COMMIT_MARGIN_MS);
    expect(passed.isAnyDue(capacities, 0)).toBe(false);
  });
});
