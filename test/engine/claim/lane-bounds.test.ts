import type { Claim } from '../../../lib/core/job.js';
import type { Reach } from '../../../lib/engine/claim/lane-state.js';
import { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import { COMMIT_MARGIN_MS } from '../../../lib/engine/claim/scan-cost.js';
import { claimed, LIMIT, NOW_MS, rooms, seen } from '../../support/unit/mail-lane.js';

/** Where claims of the lane begin, before the margin is taken off; `null` at the start of the index. */
function boundOf(book: LaneIndex, reach: Reach = 'bounded'): number | null {
  const [start] = book.starts(rooms, reach);
  return start!.lowerBound === null ? null : Date.parse(start!.lowerBound) + COMMIT_MARGIN_MS;
}

/** A claim by the book's plan that brought these; `during` happens while it is under way. */
function claimWith(book: LaneIndex, brought: readonly Claim[], during: () => void = () => undefined): void {
  const plannedIn = book.ask();
  const lanes = book.plan(rooms, LIMIT, 0, 'bounded');
  during();
  book.advance(lanes, brought, plannedIn);
  if (brought.length < LIMIT) book.settle(lanes, brought, plannedIn);
}

const full = (...dueAtMs: number[]): Claim[] =>
  Array.from({ length: LIMIT }, (_, index) => claimed(dueAtMs[index] ?? dueAtMs.at(-1)!));

function armedBook(): LaneIndex {
  const book = new LaneIndex();
  book.arm('mail', 0);
  return book;
}

describe('the lower bound of a lane', () => {
  it('is not there before anything is known, and never in a full plan', () => {
    const book = armedBook();
    expect(boundOf(book)).toBeNull();
    claimWith(book, full(NOW_MS - 500));
    expect(boundOf(book, 'full')).toBeNull();
    expect(book.plan(rooms, LIMIT, 0)).toMatchObject([{ lowerBound: null }]);
    expect(book.plan(rooms, LIMIT, 0, 'bounded')).not.toMatchObject([{ lowerBound: null }]);
  });

  it('follows the last job that a claim brought, a margin behind', () => {
    const book = armedBook();
    claimWith(book, full(NOW_MS - 900, NOW_MS - 700));
    expect(boundOf(book)).toBe(NOW_MS - 700);
    claimWith(book, full(NOW_MS - 690, NOW_MS - 500));
    expect(boundOf(book)).toBe(NOW_MS - 500);
    claimWith(book, full(NOW_MS - 560));
    expect(boundOf(book)).toBe(NOW_MS - 500);
  });

  it('is the time of the claim when the lane gave less than was asked', () => {
    const book = armedBook();
    claimWith(book, [claimed(NOW_MS - 900)]);
    expect(boundOf(book)).toBe(NOW_MS);
  });

  it('follows a clock of the database that was set back', () => {
    const book = armedBook();
    claimWith(book, [claimed(NOW_MS - 900)]);
    book.arm('mail', 0);
    claimWith(book, [claimed(NOW_MS - 80_000, NOW_MS - 70_000)]);
    expect(boundOf(book)).toBe(NOW_MS - 70_000);
  });

  it('is where a full scan saw the first waiting job', () => {
    const book = new LaneIndex();
    book.learn(rooms, seen(NOW_MS - 4_000), 0);
    expect(boundOf(book)).toBe(NOW_MS - 4_000);
  });

  it.each([
    ['nothing waits', null],
    ['the first job waits for tomorrow', NOW_MS + 86_400_000],
  ])('is the time of a full scan when %s, since a job to come may be due at once', (_name, first) => {
    const book = new LaneIndex();
    book.starts(rooms, 'full');
    book.learn(rooms, seen(first), 0);
    expect(boundOf(book)).toBe(NOW_MS);
  });

  it('stays where it is after a bounded scan, and its lane is not forgotten', () => {
    const book = new LaneIndex();
    book.arm('mail', 7);
    book.learn(rooms, { waiting: [], at: new Date(NOW_MS), tookMs: 64 }, 0);
    const before = book.starts(rooms, 'bounded');
    const lanes = book.plan(rooms, LIMIT, 0, 'bounded');
    book.settle(lanes, [], book.ask());
    book.learn(rooms, seen(null, NOW_MS + 5_000), 0, { reach: 'bounded', askedIn: book.ask() });
    expect(book.starts(rooms, 'bounded')).toEqual(before);
    book.learn(rooms, seen(null, NOW_MS + 5_000), 0);
    expect(book.starts(rooms, 'bounded')).toHaveLength(1);
  });
});

describe('a job below the lower bound', () => {
  /** Everything up to now is claimed. */
  function doneBook(): LaneIndex {
    const book = armedBook();
    claimWith(book, [claimed(NOW_MS - 10)]);
    return book;
  }

  const LATE_MS = NOW_MS - 5_000;
  /** No margin is taken off where a job is known to wait. */
  const lateBound = LATE_MS + COMMIT_MARGIN_MS;

  it('is claimed when it was stored by this process, which knows when it was due', () => {
    const book = doneBook();
    book.arm('mail', 0, new Date(LATE_MS));
    expect(boundOf(book)).toBe(lateBound);
    claimWith(book, [claimed(LATE_MS)]);
    expect(boundOf(book)).toBe(NOW_MS);
  });

  it('is claimed when a look below the bounds has seen it', () => {
    const book = doneBook();
    const starts = book.starts(rooms, 'bounded');
    expect(book.isAnyDue(rooms, 0)).toBe(false);
    expect(book.lookedBelow(starts, seen(LATE_MS))).toBe(true);
    expect(book.isAnyDue(rooms, 0)).toBe(true);
    expect(boundOf(book)).toBe(lateBound);
  });

  it('is not what a look sees that waits at the bound or behind it, or for later', () => {
    const book = doneBook();
    const starts = book.starts(rooms, 'bounded');
    const bound = boundOf(book)!;
    for (const first of [bound - COMMIT_MARGIN_MS, bound, NOW_MS + 5_000, null]) {
      expect(book.lookedBelow(starts, seen(first))).toBe(false);
    }
    expect(boundOf(book)).toBe(bound);
  });

  it('is judged by the bound of the moment in which the look began', () => {
    const book = armedBook();
    claimWith(book, full(NOW_MS - 9_000));
    const starts = book.starts(rooms, 'bounded');
    claimWith(book, full(NOW_MS - 1_000));
    expect(book.lookedBelow(starts, seen(NOW_MS - 8_000))).toBe(false);
    expect(boundOf(book)).toBe(NOW_MS - 1_000);
  });

  it('gives the lane a bound that had none', () => {
    const book = new LaneIndex();
    const starts = book.starts(rooms, 'bounded');
    expect(book.lookedBelow(starts, seen(LATE_MS))).toBe(false);
    expect(boundOf(book)).toBe(LATE_MS);
  });

  it('moves the bound on as those before it are claimed, one full claim after another', () => {
    const book = doneBook();
    book.arm('mail', 0, new Date(LATE_MS));
    claimWith(book, full(LATE_MS, LATE_MS + 300));
    expect(boundOf(book)).toBe(lateBound + 300);
    claimWith(book, full(LATE_MS + 900));
    expect(boundOf(book)).toBe(lateBound + 900);
    claimWith(book, [claimed(NOW_MS - 1)]);
    expect(boundOf(book)).toBe(NOW_MS);
  });

  it('is left to the next look when it is locked, so that claims do not walk to it again and again', () => {
    const book = doneBook();
    book.arm('mail', 0, new Date(LATE_MS));
    claimWith(book, []);
    expect(boundOf(book)).toBe(NOW_MS);
  });

  it.each<[string, (book: LaneIndex, during: () => void) => void]>([
    ['a claim of all that was due', (book, during) => claimWith(book, [claimed(NOW_MS - 5)], during)],
    ['a claim as large as can be', (book, during) => claimWith(book, full(NOW_MS - 1_000), during)],
    [
      'a scan',
      (book, during) => {
        const askedIn = book.ask();
        during();
        book.learn(rooms, seen(null), 0, { reach: 'full', askedIn });
      },
    ],
  ])('is claimed when it was stored while %s was under way that raised the bound', (_name, look) => {
    const book = armedBook();
    claimWith(book, [claimed(NOW_MS - 9_000, NOW_MS - 8_000)]);
    look(book, () => book.arm('mail', 0, new Date(LATE_MS)));
    expect(boundOf(book)).toBe(lateBound);
    expect(book.isAnyDue(rooms, 0)).toBe(true);
    claimWith(book, [claimed(LATE_MS)]);
    expect(boundOf(book)).toBe(NOW_MS);
  });

  it('is claimed when it was stored between two claims that were under way at once', () => {
    const book = armedBook();
    claimWith(book, [claimed(NOW_MS - 9_000, NOW_MS - 8_000)]);
    const first = book.ask();
    book.plan(rooms, LIMIT, 0, 'bounded');
    book.arm('mail', 0, new Date(LATE_MS));
    const second = book.ask();
    const lanes = book.plan(rooms, LIMIT, 0, 'bounded');
    book.arm('mail', 0, new Date(NOW_MS));
    book.advance(lanes, full(NOW_MS - 1_000), first);
    expect(boundOf(book)).toBe(lateBound);
    expect(book.isAnyDue(rooms, 0)).toBe(true);
    book.advance(lanes, [claimed(LATE_MS)], second);
    book.settle(lanes, [claimed(LATE_MS)], second);
    expect(boundOf(book)).not.toBe(lateBound);
  });

  it('is claimed when it goes on waiting, and news of it came while the bound was raised', () => {
    const book = armedBook();
    claimWith(book, [claimed(NOW_MS - 9_000, NOW_MS - 8_000)]);
    claimWith(book, [claimed(NOW_MS - 5)], () => book.expect('mail', 0, new Date(LATE_MS)));
    expect(book.isAnyDue(rooms, 0)).toBe(true);
    expect(boundOf(book)).toBe(lateBound);
  });

  it('is no reason to claim at once when it goes on waiting above the bound', () => {
    const book = doneBook();
    book.expect('mail', 0, new Date(NOW_MS + 60_000));
    expect(book.isAnyDue(rooms, 0)).toBe(false);
    expect(boundOf(book)).toBe(NOW_MS);
  });

  it('is not forgotten when it came while a claim was under way', () => {
    const book = doneBook();
    book.arm('mail', 0);
    claimWith(book, [claimed(NOW_MS - 5)], () => book.arm('mail', 0, new Date(LATE_MS)));
    expect(boundOf(book)).toBe(lateBound);
    expect(book.isAnyDue(rooms, 0)).toBe(true);
  });
});

describe('a lane of a paused topic', () => {
  const FIRST_MS = NOW_MS - 5_000;

  it('has nothing due, whatever is announced in it, until a scan says that it may be claimed from', () => {
    const book = new LaneIndex();
    book.learn(rooms, seen(FIRST_MS, NOW_MS, true), 0);
    book.arm('mail');
    book.arm('mail', 0, new Date(NOW_MS));
    expect(book.plan(rooms, LIMIT, 0)).toEqual([]);
    expect(book.isAnyDue(rooms, 0)).toBe(false);
    expect(book.nextDueAtMs(rooms)).toBe(Infinity);
    book.learn(rooms, seen(FIRST_MS), 0);
    expect(book.isAnyDue(rooms, 0)).toBe(true);
    expect(book.plan(rooms, LIMIT, 0)).toHaveLength(1);
  });

  it('has a bound that passes no job that waits, as far as scans and looks below it know', () => {
    const scanned = new LaneIndex();
    scanned.learn(rooms, seen(FIRST_MS, NOW_MS, true), 0);
    expect(boundOf(scanned)).toBe(FIRST_MS);

    // Its topic was paused after the last scan: a claim got nothing from it, and took that for its end.
    const passed = armedBook();
    claimWith(passed, [claimed(NOW_MS - 10)]);
    expect(boundOf(passed)).toBe(NOW_MS);
    expect(passed.lookedBelow(passed.starts(rooms, 'bounded'), seen(FIRST_MS, NOW_MS, true))).toBe(false);
    expect(boundOf(passed)).toBe(FIRST_MS + COMMIT_MARGIN_MS);
    expect(passed.isAnyDue(rooms, 0)).toBe(false);
  });
});
