import type { Claim } from '../../../lib/core/job.js';
import type { ScanMode } from '../../../lib/engine/claim/lane-index.js';
import { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import { COMMIT_MARGIN_MS } from '../../../lib/engine/claim/scan-cost.js';
import { claimed, LIMIT, NOW_MS, rooms, seen } from '../../support/unit/mail-lane.js';

/** Where claims of the lane begin, before the margin is taken off; `null` at the start of the index. */
function boundOf(laneIndex: LaneIndex, reach: ScanMode = 'bounded'): number | null {
  const [start] = laneIndex.starts(rooms, reach);
  return start!.lowerBound === null ? null : Date.parse(start!.lowerBound) + COMMIT_MARGIN_MS;
}

/** A claim by the laneIndex's plan that brought these; `during` happens while it is under way. */
function claimWith(laneIndex: LaneIndex, brought: readonly Claim[], during: () => void = () => undefined): void {
  const version = laneIndex.startRequest();
  const lanes = laneIndex.plan(rooms, LIMIT, 0, 'bounded');
  during();
  laneIndex.recordClaim({ lanes, limit: LIMIT }, brought, version);
}

const full = (...dueAtMs: number[]): Claim[] =>
  Array.from({ length: LIMIT }, (_, index) => claimed(dueAtMs[index] ?? dueAtMs.at(-1)!));

function armedBook(): LaneIndex {
  const laneIndex = new LaneIndex();
  laneIndex.markDue('mail', 0);
  return laneIndex;
}

describe('the lower bound of a lane', () => {
  it('is not there before anything is known, and never in a full plan', () => {
    const laneIndex = armedBook();
    expect(boundOf(laneIndex)).toBeNull();
    claimWith(laneIndex, full(NOW_MS - 500));
    expect(boundOf(laneIndex, 'full')).toBeNull();
    expect(laneIndex.plan(rooms, LIMIT, 0)).toMatchObject([{ lowerBound: null }]);
    expect(laneIndex.plan(rooms, LIMIT, 0, 'bounded')).not.toMatchObject([{ lowerBound: null }]);
  });

  it('follows the last job that a claim brought, a margin behind', () => {
    const laneIndex = armedBook();
    claimWith(laneIndex, full(NOW_MS - 900, NOW_MS - 700));
    expect(boundOf(laneIndex)).toBe(NOW_MS - 700);
    claimWith(laneIndex, full(NOW_MS - 690, NOW_MS - 500));
    expect(boundOf(laneIndex)).toBe(NOW_MS - 500);
    claimWith(laneIndex, full(NOW_MS - 560));
    expect(boundOf(laneIndex)).toBe(NOW_MS - 500);
  });

  it('is the time of the claim when the lane gave less than was asked', () => {
    const laneIndex = armedBook();
    claimWith(laneIndex, [claimed(NOW_MS - 900)]);
    expect(boundOf(laneIndex)).toBe(NOW_MS);
  });

  it('follows a clock of the database that was set back', () => {
    const laneIndex = armedBook();
    claimWith(laneIndex, [claimed(NOW_MS - 900)]);
    laneIndex.markDue('mail', 0);
    claimWith(laneIndex, [claimed(NOW_MS - 80_000, NOW_MS - 70_000)]);
    expect(boundOf(laneIndex)).toBe(NOW_MS - 70_000);
  });

  it('is where a full scan saw the first waiting job', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(rooms, seen(NOW_MS - 4_000), 0);
    expect(boundOf(laneIndex)).toBe(NOW_MS - 4_000);
  });

  it.each([
    ['nothing waits', null],
    ['the first job waits for tomorrow', NOW_MS + 86_400_000],
  ])('is the time of a full scan when %s, since a job to come may be due at once', (_name, first) => {
    const laneIndex = new LaneIndex();
    laneIndex.starts(rooms, 'full');
    laneIndex.recordScan(rooms, seen(first), 0);
    expect(boundOf(laneIndex)).toBe(NOW_MS);
  });

  it('stays where it is after a bounded scan, and its lane is not forgotten', () => {
    const laneIndex = new LaneIndex();
    laneIndex.markDue('mail', 7);
    laneIndex.recordScan(rooms, { waiting: [], at: new Date(NOW_MS), tookMs: 64 }, 0);
    const before = laneIndex.starts(rooms, 'bounded');
    const lanes = laneIndex.plan(rooms, LIMIT, 0, 'bounded');
    laneIndex.recordClaim({ lanes, limit: LIMIT }, [], laneIndex.startRequest());
    laneIndex.recordScan(rooms, seen(null, NOW_MS + 5_000), 0, 'bounded', laneIndex.startRequest());
    expect(laneIndex.starts(rooms, 'bounded')).toEqual(before);
    laneIndex.recordScan(rooms, seen(null, NOW_MS + 5_000), 0);
    expect(laneIndex.starts(rooms, 'bounded')).toHaveLength(1);
  });
});

describe('a job below the lower bound', () => {
  /** Everything up to now is claimed. */
  function doneBook(): LaneIndex {
    const laneIndex = armedBook();
    claimWith(laneIndex, [claimed(NOW_MS - 10)]);
    return laneIndex;
  }

  const LATE_MS = NOW_MS - 5_000;
  /** No margin is taken off where a job is known to wait. */
  const lateBound = LATE_MS + COMMIT_MARGIN_MS;

  it('is claimed when it was stored by this process, which knows when it was due', () => {
    const laneIndex = doneBook();
    laneIndex.markDue('mail', 0, new Date(LATE_MS));
    expect(boundOf(laneIndex)).toBe(lateBound);
    claimWith(laneIndex, [claimed(LATE_MS)]);
    expect(boundOf(laneIndex)).toBe(NOW_MS);
  });

  it('is claimed when a look below the bounds has seen it', () => {
    const laneIndex = doneBook();
    const starts = laneIndex.starts(rooms, 'bounded');
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(false);
    expect(laneIndex.recordBackgroundScan(starts, seen(LATE_MS))).toBe(true);
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(true);
    expect(boundOf(laneIndex)).toBe(lateBound);
  });

  it('is not what a look sees that waits at the bound or behind it, or for later', () => {
    const laneIndex = doneBook();
    const starts = laneIndex.starts(rooms, 'bounded');
    const bound = boundOf(laneIndex)!;
    for (const first of [bound - COMMIT_MARGIN_MS, bound, NOW_MS + 5_000, null]) {
      expect(laneIndex.recordBackgroundScan(starts, seen(first))).toBe(false);
    }
    expect(boundOf(laneIndex)).toBe(bound);
  });

  it('is judged by the bound of the moment in which the look began', () => {
    const laneIndex = armedBook();
    claimWith(laneIndex, full(NOW_MS - 9_000));
    const starts = laneIndex.starts(rooms, 'bounded');
    claimWith(laneIndex, full(NOW_MS - 1_000));
    expect(laneIndex.recordBackgroundScan(starts, seen(NOW_MS - 8_000))).toBe(false);
    expect(boundOf(laneIndex)).toBe(NOW_MS - 1_000);
  });

  it('gives the lane a bound that had none', () => {
    const laneIndex = new LaneIndex();
    const starts = laneIndex.starts(rooms, 'bounded');
    expect(laneIndex.recordBackgroundScan(starts, seen(LATE_MS))).toBe(false);
    expect(boundOf(laneIndex)).toBe(LATE_MS);
  });

  it('moves the bound on as those before it are claimed, one full claim after another', () => {
    const laneIndex = doneBook();
    laneIndex.markDue('mail', 0, new Date(LATE_MS));
    claimWith(laneIndex, full(LATE_MS, LATE_MS + 300));
    expect(boundOf(laneIndex)).toBe(lateBound + 300);
    claimWith(laneIndex, full(LATE_MS + 900));
    expect(boundOf(laneIndex)).toBe(lateBound + 900);
    claimWith(laneIndex, [claimed(NOW_MS - 1)]);
    expect(boundOf(laneIndex)).toBe(NOW_MS);
  });

  it('is left to the next look when it is locked, so that claims do not walk to it again and again', () => {
    const laneIndex = doneBook();
    laneIndex.markDue('mail', 0, new Date(LATE_MS));
    claimWith(laneIndex, []);
    expect(boundOf(laneIndex)).toBe(NOW_MS);
  });

  it.each<[string, (laneIndex: LaneIndex, during: () => void) => void]>([
    ['a claim of all that was due', (laneIndex, during) => claimWith(laneIndex, [claimed(NOW_MS - 5)], during)],
    ['a claim as large as can be', (laneIndex, during) => claimWith(laneIndex, full(NOW_MS - 1_000), during)],
    [
      'a scan',
      (laneIndex, during) => {
        const version = laneIndex.startRequest();
        during();
        laneIndex.recordScan(rooms, seen(null), 0, 'full', version);
      },
    ],
  ])('is claimed when it was stored while %s was under way that raised the bound', (_name, look) => {
    const laneIndex = armedBook();
    claimWith(laneIndex, [claimed(NOW_MS - 9_000, NOW_MS - 8_000)]);
    look(laneIndex, () => laneIndex.markDue('mail', 0, new Date(LATE_MS)));
    expect(boundOf(laneIndex)).toBe(lateBound);
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(true);
    claimWith(laneIndex, [claimed(LATE_MS)]);
    expect(boundOf(laneIndex)).toBe(NOW_MS);
  });

  it('is claimed when it was stored between two claims that were under way at once', () => {
    const laneIndex = armedBook();
    claimWith(laneIndex, [claimed(NOW_MS - 9_000, NOW_MS - 8_000)]);
    const first = laneIndex.startRequest();
    laneIndex.plan(rooms, LIMIT, 0, 'bounded');
    laneIndex.markDue('mail', 0, new Date(LATE_MS));
    const second = laneIndex.startRequest();
    const lanes = laneIndex.plan(rooms, LIMIT, 0, 'bounded');
    laneIndex.markDue('mail', 0, new Date(NOW_MS));
    laneIndex.recordClaim({ lanes, limit: LIMIT }, full(NOW_MS - 1_000), first);
    expect(boundOf(laneIndex)).toBe(lateBound);
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(true);
    laneIndex.recordClaim({ lanes, limit: LIMIT }, [claimed(LATE_MS)], second);
    expect(boundOf(laneIndex)).not.toBe(lateBound);
  });

  it('is claimed when it goes on waiting, and news of it came while the bound was raised', () => {
    const laneIndex = armedBook();
    claimWith(laneIndex, [claimed(NOW_MS - 9_000, NOW_MS - 8_000)]);
    claimWith(laneIndex, [claimed(NOW_MS - 5)], () => laneIndex.expect('mail', 0, new Date(LATE_MS)));
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(true);
    expect(boundOf(laneIndex)).toBe(lateBound);
  });

  it('is no reason to claim at once when it goes on waiting above the bound', () => {
    const laneIndex = doneBook();
    laneIndex.expect('mail', 0, new Date(NOW_MS + 60_000));
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(false);
    expect(boundOf(laneIndex)).toBe(NOW_MS);
  });

  it('is not forgotten when it came while a claim was under way', () => {
    const laneIndex = doneBook();
    laneIndex.markDue('mail', 0);
    claimWith(laneIndex, [claimed(NOW_MS - 5)], () => laneIndex.markDue('mail', 0, new Date(LATE_MS)));
    expect(boundOf(laneIndex)).toBe(lateBound);
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(true);
  });
});

describe('a lane of a paused topic', () => {
  const FIRST_MS = NOW_MS - 5_000;

  it('has nothing due, whatever is announced in it, until a scan says that it may be claimed from', () => {
    const laneIndex = new LaneIndex();
    laneIndex.recordScan(rooms, seen(FIRST_MS, NOW_MS, true), 0);
    laneIndex.markDue('mail');
    laneIndex.markDue('mail', 0, new Date(NOW_MS));
    expect(laneIndex.plan(rooms, LIMIT, 0)).toEqual([]);
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(false);
    expect(laneIndex.nextDueAtMs(rooms)).toBe(Infinity);
    laneIndex.recordScan(rooms, seen(FIRST_MS), 0);
    expect(laneIndex.isAnyDue(rooms, 0)).toBe(true);
    expect(laneIndex.plan(rooms, LIMIT, 0)).toHaveLength(1);
  });

  it('has a bound that passes no job that waits, as far as scans and looks below it know', () => {
    const scanned = new LaneIndex();
    scanned.recordScan(rooms, seen(FIRST_MS, NOW_MS, true), 0);
    expect(boundOf(scanned)).toBe(FIRST_MS);

    // Its topic was paused after the last scan: a claim got nothing from it, and took that for its end.
    const passed = armedBook();
    claimWith(passed, [claimed(NOW_MS - 10)]);
    expect(boundOf(passed)).toBe(NOW_MS);
    expect(passed.recordBackgroundScan(passed.starts(rooms, 'bounded'), seen(FIRST_MS, NOW_MS, true))).toBe(false);
    expect(boundOf(passed)).toBe(FIRST_MS + COMMIT_MARGIN_MS);
    expect(passed.isAnyDue(rooms, 0)).toBe(false);
  });
});
