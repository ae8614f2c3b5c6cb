import type { LimitedClaimRequest, LimitReason } from './limited-claim.js';
import { monotonicMs } from '../runtime/real-timers.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';
import * as sql from './limited-claim.sqlite.js';

/** The walk over the keys blocks the event loop. After this time the claim takes what it has found. */
const WALK_MAX_MS = 2;
/** But it looks at this many keys in any case. */
const STEPS_MIN = 16;
/** And after this many keys, with sqlite3 too, whose statements do not block it. */
const STEPS_PER_SLOT = 4;
const STEPS_ONCE = 64;
/** A claim of more jobs would block the event loop for more than 5 ms. */
const JOBS_MAX = 50;

/** The result of a limited claim, its jobs as rows. */
export interface LimitedClaimRows {
  readonly rows: readonly SqlRow[];
  readonly ending: 'done' | 'cut' | 'unlimited';
  readonly limitedBy: LimitReason | null;
  readonly rateInMs: number | null;
}

/** The limits of a topic: see `TOPIC_LIMITS`. */
interface TopicLimits {
  readonly isPaused: boolean;
  readonly total: number | null;
  readonly perKey: number | null;
  readonly rate: number | null;
  readonly isRateByKey: boolean;
  readonly cursor: string;
  readonly sliceMs: number;
  readonly slices: number;
  readonly slice: number;
  readonly nowMs: number;
}

/** A key with due jobs, and how many of them may start now. The jobs without a key have the key ''. */
interface OpenKey {
  readonly key: string;
  readonly free: number;
}

/** Where the walk over the keys of one priority has ended. */
interface Walk {
  readonly open: readonly OpenKey[];
  readonly lastKey: string;
  readonly steps: number;
  /** The keys of which no job may start. */
  readonly full: readonly KeyCapacity[];
  readonly isCut: boolean;
}

interface KeyCapacity {
  /** How many jobs may start. */
  readonly free: number;
  /** The oldest counted slice of a key that is full by its rate. */
  readonly oldestSlice: number | null;
}

/** Claims jobs of one topic, in one transaction, as far as its limits allow. Keys take turns, from the cursor in the topic's row on. */
export function* limitedClaimScript(request: LimitedClaimRequest): SqlScript<LimitedClaimRows> {
  const { topic, priorities, hasKeyed, worker, leaseMs } = request;
  const limits = yield* readLimitsScript(topic, hasKeyed);
  if (!limits || limits.isPaused) {
    return { rows: [], ending: limits ? 'done' : 'unlimited', limitedBy: null, rateInMs: null };
  }
  if (hasKeyed) {
    for (const priority of priorities) {
      yield { sql: sql.MARK_KEYED_DUE, params: [topic, priority] };
    }
  }
  const limit = Math.min(request.limit, JOBS_MAX);
  const room = yield* countRoomScript(topic, limits, limit);
  const chosen: Chosen = { ids: [], countByKey: new Map() };
  const walks: Walk[] = [];
  const endMs = monotonicMs() + WALK_MAX_MS;
  for (const priority of priorities) {
    const left = room.jobs - chosen.ids.length;
    if (left <= 0) {
      break;
    }
    const walk = yield* walkScript({ topic, priority, limits, room: left, chosen, endMs });
    walks.push(walk);
    yield* chooseScript({ topic, priority, open: walk.open, room: left, chosen });
  }
  const rows =
    chosen.ids.length === 0 ? [] : yield { sql: sql.CLAIM_ROWS, params: [JSON.stringify(chosen.ids), worker, leaseMs] };
  yield* recordScript(topic, limits, chosen, walks);
  const end = toEnding(limits, room, walks, rows.length, limit);
  // More jobs than one claim takes may be due.
  return { rows, ...end, ending: rows.length === limit && limit < request.limit ? 'cut' : end.ending };
}

/** Returns `undefined` for a topic without limits and keyed jobs. */
function* readLimitsScript(topic: string, hasKeyed: boolean): SqlScript<TopicLimits | undefined> {
  const read = { sql: sql.TOPIC_LIMITS, params: [topic], isRead: true };
  let [row] = yield read;
  if (!row?.is_limited && hasKeyed) {
    yield { sql: sql.MARK_LIMITED, params: [topic] };
    [row] = yield read;
  }
  return row?.is_limited ? toLimits(row) : undefined;
}

function toLimits(row: SqlRow): TopicLimits {
  const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));
  return {
    isPaused: Boolean(row.is_paused),
    total: numberOrNull(row.limit_total),
    perKey: numberOrNull(row.limit_key),
    rate: numberOrNull(row.rate_limit),
    isRateByKey: Boolean(row.rate_by_key),
    cursor: row.key_cursor as string,
    sliceMs: Number(row.slice_ms),
    slices: Number(row.slices),
    slice: Number(row.slice),
    nowMs: Number(row.now_ms),
  };
}

/** How many jobs may start by the limits of the topic. */
interface Room {
  readonly jobs: number;
  readonly byConcurrency: number;
  readonly byRate: number;
  /** The oldest counted slice of the topic's rate. */
  readonly oldestSlice: number | null;
}

function* countRoomScript(topic: string, limits: TopicLimits, limit: number): SqlScript<Room> {
  const { total, rate, isRateByKey } = limits;
  const byConcurrency =
    total === null ? Infinity : total - (yield* countScript(sql.COUNT_RUNNING, [topic, total])).count;
  const starts = rate === null || isRateByKey ? undefined : yield* countStartsScript(topic, '', limits);
  const byRate = starts ? rate! - starts.count : Infinity;
  return {
    jobs: Math.max(0, Math.min(limit, byConcurrency, byRate)),
    byConcurrency,
    byRate,
    oldestSlice: starts?.oldest ?? null,
  };
}

function* countScript(
  statement: string,
  params: readonly unknown[],
): SqlScript<{ count: number; oldest: number | null }> {
  const [row] = yield { sql: statement, params, isRead: true };
  return { count: Number(row!.count), oldest: row!.oldest == null ? null : Number(row!.oldest) };
}

/** Slices more than a window ahead are ignored: the clock was set back. */
function countStartsScript(topic: string, key: string, { slice, slices }: TopicLimits): ReturnType<typeof countScript> {
  return countScript(sql.COUNT_STARTS, [topic, key, slice - slices, slice + slices]);
}

interface WalkRequest {
  readonly topic: string;
  readonly priority: number;
  readonly limits: TopicLimits;
  /** How many jobs may still start. */
  readonly room: number;
  readonly chosen: Chosen;
  readonly endMs: number;
}

/** Goes from key to key, from the cursor on, once around. The jobs without a key come where the walk starts again from the front. */
function* walkScript({ topic, priority, limits, room, chosen, endMs }: WalkRequest): SqlScript<Walk> {
  const open: OpenKey[] = [];
  const full: KeyCapacity[] = [];
  const stepsMax = STEPS_PER_SLOT * room + STEPS_ONCE;
  let position: Position = { key: limits.cursor, hasWrapped: false };
  for (let steps = 0; open.length < room; steps += 1) {
    if (steps >= stepsMax || (steps >= STEPS_MIN && monotonicMs() > endMs)) {
      return { open, lastKey: position.key, steps, full, isCut: true };
    }
    const next = yield* nextKeyScript(topic, priority, position, limits.cursor);
    if (!next) {
      return { open, lastKey: position.key, steps, full, isCut: false };
    }
    position = next;
    const { key } = next;
    const capacity = yield* countFreeScript({ topic, priority, key, limits, room });
    // Jobs without a key have the limits of the topic only, which `room` counts.
    const free = key === '' ? capacity.free : capacity.free - (chosen.countByKey.get(key) ?? 0);
    if (free > 0) {
      open.push({ key, free });
    } else if (key !== '') {
      full.push(capacity);
    }
  }
  return { open, lastKey: position.key, steps: open.length + full.length, full, isCut: false };
}

/** Where a walk is. */
interface Position {
  readonly key: string;
  /** Whether it has passed the end of the index and started again from the front. */
  readonly hasWrapped: boolean;
}

function* nextKeyScript(
  topic: string,
  priority: number,
  { key, hasWrapped }: Position,
  cursor: string,
): SqlScript<Position | undefined> {
  const [row] = yield { sql: sql.NEXT_KEY, params: [topic, priority, key], isRead: true };
  const found = row?.flow_key as string | undefined;
  if (found !== undefined && !(hasWrapped && found > cursor)) {
    return { key: found, hasWrapped };
  }
  return hasWrapped ? undefined : { key: '', hasWrapped: true };
}

interface KeyRequest {
  readonly topic: string;
  readonly priority: number;
  readonly key: string;
  readonly limits: TopicLimits;
  readonly room: number;
}

/** How many jobs of a key may start by the limits of the key. */
function* countFreeScript({ topic, priority, key, limits, room }: KeyRequest): SqlScript<KeyCapacity> {
  if (key === '') {
    const [due] = yield { sql: sql.HAS_UNKEYED, params: [topic, priority], isRead: true };
    return { free: due ? room : 0, oldestSlice: null };
  }
  const { perKey, rate, isRateByKey } = limits;
  const byConcurrency =
    perKey === null ? Infinity : perKey - (yield* countScript(sql.COUNT_RUNNING_OF_KEY, [topic, key, perKey])).count;
  const starts = rate !== null && isRateByKey ? yield* countStartsScript(topic, key, limits) : undefined;
  const byRate = starts ? rate! - starts.count : Infinity;
  return { free: Math.min(byConcurrency, byRate), oldestSlice: byRate <= 0 ? starts!.oldest : null };
}

/** The rows to claim, and how many of each key. */
interface Chosen {
  readonly ids: unknown[];
  readonly countByKey: Map<string, number>;
}

interface ChooseRequest {
  readonly topic: string;
  readonly priority: number;
  readonly open: readonly OpenKey[];
  readonly room: number;
  readonly chosen: Chosen;
}

/** Takes one job of each key in turn until all slots are used. Reads twice the share of each key, since another may have few jobs. */
function* chooseScript({ topic, priority, open, room, chosen }: ChooseRequest): SqlScript<void> {
  const share = Math.ceil((2 * room) / Math.max(1, open.length));
  const queues: { readonly key: string; readonly ids: unknown[] }[] = [];
  for (const { key, free } of open) {
    const rows =
      key === ''
        ? yield { sql: sql.UNKEYED_JOBS, params: [topic, priority, share], isRead: true }
        : yield { sql: sql.JOBS_OF_KEY, params: [topic, priority, key, Math.min(free, share)], isRead: true };
    queues.push({ key, ids: rows.map(({ id }) => id) });
  }
  const end = chosen.ids.length + room;
  for (let turn = 0; queues.some(({ ids }) => ids.length > turn); turn += 1) {
    for (const { key, ids } of queues) {
      if (ids.length > turn && chosen.ids.length < end) {
        chosen.ids.push(ids[turn]);
        chosen.countByKey.set(key, (chosen.countByKey.get(key) ?? 0) + 1);
      }
    }
  }
}

/** Counts the starts and moves the cursor. */
function* recordScript(
  topic: string,
  { rate, isRateByKey }: TopicLimits,
  { countByKey }: Chosen,
  walks: readonly Walk[],
): SqlScript<void> {
  if (rate !== null && countByKey.size > 0) {
    const total = [...countByKey.values()].reduce((sum, count) => sum + count, 0);
    const starts = isRateByKey ? [...countByKey].filter(([key]) => key !== '') : [['', total]];
    yield { sql: sql.ADD_STARTS, params: [topic, JSON.stringify(starts)] };
  }
  const longest = walks.reduce<Walk | undefined>(
    (best, walk) => (walk.steps > (best?.steps ?? 0) ? walk : best),
    undefined,
  );
  if (longest) {
    yield { sql: sql.MOVE_CURSOR, params: [topic, longest.lastKey] };
  }
}

function toEnding(
  limits: TopicLimits,
  room: Room,
  walks: readonly Walk[],
  claimed: number,
  limit: number,
): Omit<LimitedClaimRows, 'rows'> {
  const { rate, sliceMs, slices, slice, nowMs, isRateByKey } = limits;
  const oldestOfKeys = walks.flatMap(({ full }) =>
    full.flatMap(({ oldestSlice }) => (oldestSlice === null ? [] : [oldestSlice])),
  );
  const oldest = isRateByKey && oldestOfKeys.length > 0 ? Math.min(...oldestOfKeys) : (room.oldestSlice ?? slice);
  const isFull = claimed < limit && claimed >= Math.min(room.byConcurrency, room.byRate);
  const hasFullKeys = claimed < limit && walks.some(({ full }) => full.length > 0);
  const reason = room.byConcurrency <= claimed ? 'concurrency' : 'rate';
  return {
    ending: walks.some(({ isCut }) => isCut) ? 'cut' : 'done',
    limitedBy: isFull ? reason : hasFullKeys ? 'key' : null,
    rateInMs: rate === null ? null : (oldest + slices + 1) * sliceMs - nowMs,
  };
}
