import type { ClaimResult, CountedStart, LimitReason, TopicClaimRequest } from '../jobs/job-records.js';
import { SLICES, SPREAD_STEP_MS, toRest } from './limited-claim.js';
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
/** How many keyed jobs of each priority one claim marks as due. */
const MARKED_MAX = 100;

/** The result of a limited claim, its jobs as rows. */
interface LimitedClaimRows extends Omit<ClaimResult, 'claims'> {
  readonly rows: readonly SqlRow[];
  /** Whether due keyed jobs may be left without a flow key. */
  readonly isBehind: boolean;
}

/** The limits of a topic: see `TOPIC_LIMITS`. */
interface TopicLimits {
  readonly isPaused: boolean;
  readonly total: number | null;
  readonly perKey: number | null;
  readonly rate: Rate | null;
  readonly cursor: string;
  readonly nowMs: number;
}

interface Rate {
  readonly limit: number;
  readonly windowMs: number;
  readonly isByKey: boolean;
  readonly isSpread: boolean;
  readonly handOverMs: number;
  /**
   * With `spread`, the distance of starts: the window and the hand-over, divided by the limit. Then the count of starts seldom holds one
   * back.
   */
  readonly gapMs: number;
  /** How much a late claim may make up for. Starts are never closer than the window divided by the limit. */
  readonly lateMs: number;
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
  /** When the rate of the key allows the next start; `null`: its rate does not hold it back. */
  readonly nextStartMs: number | null;
  /** When the last spread start of the key was due. */
  readonly latestMs: number | null;
}

/** Claims jobs of one topic, in one transaction, as far as its limits allow. Keys take turns, from the cursor in the topic's row on. */
export function* limitedClaimScript(request: TopicClaimRequest): SqlScript<LimitedClaimRows> {
  const { topic, priorities, hasKeyed, worker, leaseMs } = request;
  const limits = yield* readLimitsScript(request);
  if (!limits || limits.isPaused) {
    return { rows: [], rest: limits ? 'none' : 'unlimited', isBehind: false };
  }
  const marked = hasKeyed ? yield* markKeyedDueScript(topic, priorities, MARKED_MAX) : [];
  const limit = Math.min(request.limit, JOBS_MAX);
  const room = yield* countRoomScript(topic, limits, limit);
  const chosen: Chosen = { ids: [], countByKey: new Map(), latestByKey: new Map() };
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
  const start = yield* recordStartsScript(topic, limits, room, chosen);
  yield* moveCursorScript(topic, walks);
  const end = toEnding(limits, room, walks, rows.length, limit);
  // More jobs than one claim takes may be due.
  const rest = rows.length === limit && limit < request.limit ? 'cut' : end.rest;
  return { rows, ...end, start, rest, isBehind: marked.includes(MARKED_MAX) };
}

/** Gives a flow key to up to `limit` keyed jobs of each priority that have become due. Returns their numbers. */
export function* markKeyedDueScript(
  topic: string,
  priorities: readonly number[],
  limit: number,
): SqlScript<readonly number[]> {
  const marked: number[] = [];
  for (const priority of priorities) {
    marked.push((yield { sql: sql.MARK_KEYED_DUE, params: [topic, priority, limit] }).length);
  }
  return marked;
}

/** Returns `undefined` for a topic without limits and keyed jobs. */
function* readLimitsScript({ topic, hasKeyed, handOverMs }: TopicClaimRequest): SqlScript<TopicLimits | undefined> {
  const read = { sql: sql.TOPIC_LIMITS, params: [topic], isRead: true };
  let [row] = yield read;
  if (!row?.is_limited && hasKeyed) {
    yield { sql: sql.MARK_LIMITED, params: [topic] };
    [row] = yield read;
  }
  return row?.is_limited ? toLimits(row, handOverMs) : undefined;
}

function toLimits(row: SqlRow, handOverMs: number): TopicLimits {
  return {
    isPaused: Boolean(row.is_paused),
    total: numberOrNull(row.limit_total),
    perKey: numberOrNull(row.limit_key),
    rate: row.rate_limit === null ? null : toRate(row, handOverMs),
    cursor: row.key_cursor as string,
    nowMs: Number(row.now_ms),
  };
}

function toRate(row: SqlRow, handOverMs: number): Rate {
  const [limit, windowMs] = [Number(row.rate_limit), Number(row.rate_ms)];
  const gapMs = ((windowMs * (SLICES + 1)) / SLICES + handOverMs) / limit;
  const shortestMs = windowMs / limit;
  const lateMs = Math.min(gapMs - shortestMs, shortestMs / 2);
  const [isByKey, isSpread] = [Boolean(row.rate_by_key), Boolean(row.rate_spread)];
  return { limit, windowMs, isByKey, isSpread, handOverMs, gapMs, lateMs };
}

function numberOrNull(value: unknown): number | null {
  return value == null ? null : Number(value);
}

/** How many jobs may start by the limits of the topic. */
interface Room {
  readonly jobs: number;
  readonly byConcurrency: number;
  readonly byRate: RateRoom;
}

function* countRoomScript(topic: string, limits: TopicLimits, limit: number): SqlScript<Room> {
  const { total, rate } = limits;
  const byConcurrency = total === null ? Infinity : total - (yield* countScript(sql.COUNT_RUNNING, [topic, total]));
  const byRate = rate === null || rate.isByKey ? ANY_ROOM : yield* countStartsScript(topic, '', rate, limits.nowMs);
  return { jobs: Math.max(0, Math.min(limit, byConcurrency, byRate.free)), byConcurrency, byRate };
}

function* countScript(statement: string, params: readonly unknown[]): SqlScript<number> {
  const [row] = yield { sql: statement, params, isRead: true };
  return Number(row!.count);
}

/** How many jobs may start by a rate. */
interface RateRoom {
  readonly free: number;
  /** How many by the number of starts, apart from their distance. */
  readonly byCount: number;
  /** When the oldest counted start counts no more. */
  readonly oldestEndMs: number | null;
  /** When the last spread start was due. */
  readonly latestMs: number | null;
}

const ANY_ROOM: RateRoom = { free: Infinity, byCount: Infinity, oldestEndMs: null, latestMs: null };

function* countStartsScript(topic: string, key: string, rate: Rate, nowMs: number): SqlScript<RateRoom> {
  const [row] = yield { sql: sql.COUNT_STARTS, params: [topic, key, rate.windowMs], isRead: true };
  const byCount = rate.limit - Number(row!.count);
  const latestMs = rate.isSpread ? numberOrNull(row!.latest) : null;
  const isTooEarly = latestMs !== null && latestMs + rate.gapMs > nowMs;
  const bySpread = !rate.isSpread ? Infinity : isTooEarly ? 0 : Math.max(1, Math.floor(SPREAD_STEP_MS / rate.gapMs));
  return { free: Math.min(byCount, bySpread), byCount, oldestEndMs: numberOrNull(row!.oldest_end), latestMs };
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
      if (capacity.latestMs !== null) {
        chosen.latestByKey.set(key, capacity.latestMs);
      }
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
    return { free: due ? room : 0, nextStartMs: null, latestMs: null };
  }
  const { perKey, rate, nowMs } = limits;
  const byConcurrency =
    perKey === null ? Infinity : perKey - (yield* countScript(sql.COUNT_RUNNING_OF_KEY, [topic, key, perKey]));
  if (!rate?.isByKey) {
    return { free: byConcurrency, nextStartMs: null, latestMs: null };
  }
  const byRate = yield* countStartsScript(topic, key, rate, nowMs);
  const nextStartMs = byRate.free <= 0 ? findNextStart(byRate, rate) : null;
  return { free: Math.min(byConcurrency, byRate.free), nextStartMs, latestMs: byRate.latestMs };
}

/** When a rate that is full allows the next start. */
function findNextStart({ byCount, oldestEndMs, latestMs }: RateRoom, { gapMs }: Rate): number {
  return Math.max(byCount <= 0 ? oldestEndMs! : -Infinity, latestMs === null ? -Infinity : latestMs + gapMs);
}

/** The rows to claim, and how many of each key. */
interface Chosen {
  readonly ids: unknown[];
  readonly countByKey: Map<string, number>;
  /** When the last spread start of a key was due. */
  readonly latestByKey: Map<string, number>;
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

/** Records the starts. Returns where. */
function* recordStartsScript(
  topic: string,
  { rate, nowMs }: TopicLimits,
  { byRate }: Room,
  { countByKey, latestByKey }: Chosen,
): SqlScript<CountedStart | undefined> {
  if (rate === null || countByKey.size === 0) {
    return undefined;
  }
  const { windowMs, handOverMs, gapMs, isByKey } = rate;
  const toMember = (key: string, count: number, lastMs: number | null = null): unknown[] => {
    const dueMs = Math.max(nowMs - rate.lateMs, lastMs === null ? -Infinity : lastMs + gapMs);
    return [key, count, dueMs + (count - 1) * gapMs];
  };
  const total = [...countByKey.values()].reduce((sum, count) => sum + count, 0);
  const members = isByKey
    ? [...countByKey].filter(([key]) => key !== '').map(([key, count]) => toMember(key, count, latestByKey.get(key)))
    : [toMember('', total, byRate.latestMs)];
  if (members.length === 0) {
    return undefined;
  }
  const [row] = yield { sql: sql.ADD_STARTS, params: [topic, JSON.stringify(members), windowMs, handOverMs] };
  return { rateMs: windowMs, slice: Number(row!.slice), isByKey, atMs: nowMs, gapMs };
}

function* moveCursorScript(topic: string, walks: readonly Walk[]): SqlScript<void> {
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
): Omit<LimitedClaimRows, 'rows' | 'start' | 'isBehind'> {
  const { rate, nowMs } = limits;
  const isFull = claimed < limit && claimed >= Math.min(room.byConcurrency, room.byRate.free);
  const hasFullKeys = claimed < limit && walks.some(({ full }) => full.length > 0);
  const reason: LimitReason = room.byConcurrency <= claimed ? 'concurrency' : 'rate';
  const held = isFull ? reason : hasFullKeys ? 'key' : undefined;
  const rateInMs = rate ? findRateEnd(rate, nowMs, room.byRate, walks, claimed) - nowMs : undefined;
  return { rest: walks.some(({ isCut }) => isCut) ? 'cut' : toRest(held, claimed, limit), held, rateInMs };
}

/** When the rate may allow another start. */
function findRateEnd(
  rate: Rate,
  nowMs: number,
  { byCount, oldestEndMs, latestMs }: RateRoom,
  walks: readonly Walk[],
  claimed: number,
): number {
  const windowEndMs = nowMs + rate.windowMs + rate.handOverMs;
  if (rate.isByKey) {
    const nextStarts = walks.flatMap(({ full }) => full.flatMap(({ nextStartMs }) => nextStartMs ?? []));
    return Math.min(windowEndMs, ...nextStarts);
  }
  if (rate.isSpread && byCount > claimed) {
    return Math.max(latestMs === null ? -Infinity : latestMs + rate.gapMs, nowMs - rate.lateMs) + claimed * rate.gapMs;
  }
  return oldestEndMs ?? windowEndMs;
}
