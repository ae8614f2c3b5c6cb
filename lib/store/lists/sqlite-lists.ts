import { countRows, MEBIBYTE } from '../../core/bounds.js';
import type { SearchTerms } from '../../core/search-text.js';
import type { EndedJob, EndedPlan, ListPlan, ListSource, RangePiece } from './job-list.js';
import { readsRows } from './job-list.js';
import type { SearchedContents } from './job-search.js';
import { nextTurn } from '../runtime/real-timers.js';
import { findInErrorGroup } from './error-group-search.js';
import { toJsonText, toSearchedContents, toTopicSize } from '../reports/report-mapper.js';
import type { TopicShare } from '../reports/report-records.js';
import { toJob } from '../jobs/row-mapper.js';
import type { ReadScript, SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import {
  countEndedScript,
  countScript,
  endedScript,
  idsScript,
  toId,
  toIds,
  topicsScript,
  toSearchParams,
} from './sqlite-list-scripts.js';
import { toSqliteMoment } from '../jobs/job-row.sqlite.js';
import * as list from './list.sqlite.js';

/** Rows that one statement counts, or skips in the order of the table: about 2 ms. */
export const COUNT_PIECE_ROWS = 40_000;
/** Rows that one statement reads whole. */
const READ_PIECE_ROWS = 500;
/** Rows whose payloads one statement searches: half a millisecond. Fewer if they are large: 2 MiB take 8 ms. */
const SEARCH_PIECE_ROWS = 200;
const SEARCH_PIECE_BYTES = 2 * MEBIBYTE;
/** The first piece is small, since nothing is known of the payloads. */
const FIRST_SEARCH_ROWS = 10;
/** Rows that one statement skips before a page, in each of its ranges. */
const SKIP_PIECE_ROWS = 2_000;

/**
 * The queries behind lists of jobs in a SQLite file. A statement blocks the event loop until it ends, so long reads are cut into pieces,
 * with an iteration of the event loop between them.
 */
export class SqliteLists {
  readonly source: ListSource = {
    topics: (max, kind) => this.readScript(() => topicsScript(max, kind)),
    rare: async (statuses, max) => {
      const ids: string[] = [];
      for (const status of statuses) {
        ids.push(...toIds(await this.read(list.RARE_IDS[status], [max])));
        await nextTurn();
      }
      return ids;
    },
    failedUpTo: (kind, shares) => this.readShares(shares, list.FAILED_UP_TO[kind], toTopicSize),
    failedWith: (text, kind, shares, asOf) =>
      this.readShares(shares, list.FAILED_WITH[kind], toId, text, toSqliteMoment(asOf)),
    holdersOf: async (uniqueKeys, topics) =>
      toIds(
        await this.read(
          list.HOLDERS_OF,
          [topics, uniqueKeys].map((each) => JSON.stringify(each)),
        ),
      ),
    contents: (ids, terms) => this.searchContents(ids, terms),
    withKey: async (filter, ...conditions) =>
      toIds(await this.read(list.WITH_KEY[filter], toSearchParams(...conditions))),
    failedAlike: async (errorKey, kind, shares, asOf) =>
      findInErrorGroup(
        await this.readShares(shares, list.FAILED_TEXTS[kind], (row) => row, toSqliteMoment(asOf)),
        errorKey,
      ),
    waitingUpTo: (due, shares) => this.readShares(shares, due ? list.DUE_UP_TO : list.NOT_DUE_UP_TO, toTopicSize),
    waiting: (due, shares, asOf) =>
      asOf === null
        ? this.readShares(shares, due ? list.DUE_IDS : list.NOT_DUE_IDS, toId)
        : this.readShares(shares, due ? list.DUE_IDS_AS_OF : list.NOT_DUE_IDS_AS_OF, toId, toSqliteMoment(asOf)),
    isSmall: async (rowsMax) => (await this.read(list.HAS_MORE_THAN, [rowsMax])).length === 0,
    ids: (plan, limit, offset) =>
      plan.asOf === null && (offset > 0 || limit <= SKIP_PIECE_ROWS)
        ? this.idsAfterOffset(plan, limit, offset)
        : this.idsInPieces(plan, limit),
    pieces: (ranges, fromId, limit) => this.readPieces(ranges, fromId, limit),
    count: (plan, max) => this.readScript(() => countScript(plan, max)),
    ended: (plan, limit, offset) => this.ended(plan, limit, offset),
    countEnded: (plan, max) => this.readScript(() => countEndedScript(plan, max)),
    find: async (ids) => (await this.read(list.FIND_JOBS, [JSON.stringify(ids)])).map(toJob),
  };

  constructor(
    private readonly readScript: ReadScript,
    private readonly read: SqlQuery,
  ) {}

  /** Runs a statement for each topic, with an iteration of the event loop after each. */
  async readShares<T>(
    shares: readonly TopicShare[],
    sql: string,
    toResult: (row: SqlRow) => T,
    ...params: unknown[]
  ): Promise<T[]> {
    const results: T[] = [];
    for (const { topic, limit } of shares) {
      const rows = await this.read(sql, [topic, limit, ...params]);
      rows.forEach((row) => results.push(toResult(row)));
      await nextTurn();
    }
    return results;
  }

  /** Reads many rows, or rows that may have large payloads, in pieces. Such a list has no offset. */
  private async idsInPieces(plan: ListPlan, limit: number): Promise<string[]> {
    const ids: string[] = [];
    if (plan.ranges?.length === 0 && plan.runningTopics.length === 0) {
      const found = [...plan.ids].sort().reverse();
      for (let start = 0; start < found.length && ids.length < limit; start += READ_PIECE_ROWS) {
        const piece = { ...plan, ids: found.slice(start, start + READ_PIECE_ROWS) };
        ids.push(...(await this.readScript(() => idsScript(piece, READ_PIECE_ROWS, 0))));
        await nextTurn();
      }
      return ids.slice(0, limit);
    }
    for (let { beforeId } = plan, isFull = true; isFull && ids.length < limit;) {
      const rows = Math.min(READ_PIECE_ROWS, limit - ids.length);
      const piece = await this.readScript(() => idsScript({ ...plan, beforeId }, rows, 0));
      ids.push(...piece);
      isFull = piece.length === rows;
      beforeId = piece.at(-1) ?? beforeId;
      await nextTurn();
    }
    return ids;
  }

  /** Skips the rows before the page in pieces. */
  private async idsAfterOffset(plan: ListPlan, limit: number, offset: number): Promise<string[]> {
    const pieceRows = plan.ranges === null ? COUNT_PIECE_ROWS : SKIP_PIECE_ROWS;
    let { beforeId } = plan;
    let left = offset;
    for (; left > pieceRows; left -= pieceRows) {
      const [last] = await this.readScript(() => idsScript({ ...plan, beforeId }, 1, pieceRows - 1));
      if (last === undefined) {
        return [];
      }
      beforeId = last;
      await nextTurn();
    }
    return this.readScript(() => idsScript({ ...plan, beforeId }, limit, left));
  }

  private async ended(plan: EndedPlan, limit: number, offset: number): Promise<EndedJob[]> {
    const pieceRows = readsRows(plan) ? READ_PIECE_ROWS : SKIP_PIECE_ROWS;
    const jobs: EndedJob[] = [];
    for (let { before } = plan, skip = offset, isFull = true; isFull && jobs.length < limit;) {
      const rows = Math.min(pieceRows, skip + limit - jobs.length);
      const piece = await this.readScript(() => endedScript({ ...plan, before }, rows));
      jobs.push(...piece.slice(skip));
      skip = Math.max(0, skip - piece.length);
      isFull = piece.length === rows;
      before = piece.at(-1) ?? before;
      await nextTurn();
    }
    return jobs;
  }

  private async readPieces(ranges: readonly RangePiece[], fromId: string, limit: number): Promise<string[][]> {
    const pieces: string[][] = [];
    for (const { topic, status, beforeId } of ranges) {
      pieces.push(toIds(await this.read(list.RANGE_IDS, [fromId, beforeId, topic, status, limit])));
      await nextTurn();
    }
    return pieces;
  }

  private async searchContents(
    ids: readonly string[],
    { uniqueKeys, text, member }: SearchTerms,
  ): Promise<SearchedContents> {
    const found: SearchedContents['found'][number][] = [];
    let bytes = 0;
    const path = member && `$${member.path.map((name) => `."${name}"`).join('')}`;
    const params = [JSON.stringify(uniqueKeys), toJsonText(text), path, member?.value];
    for (let start = 0, rows = FIRST_SEARCH_ROWS; start < ids.length;) {
      const piece = ids.slice(start, start + rows);
      const searched = toSearchedContents(
        (await this.read(list.SEARCH_CONTENTS, [JSON.stringify(piece), ...params]))[0]!,
      );
      found.push(...searched.found);
      bytes += searched.bytes;
      start += piece.length;
      rows = countRows(piece.length, searched.bytes, SEARCH_PIECE_BYTES, SEARCH_PIECE_ROWS);
      await nextTurn();
    }
    return { found, bytes };
  }
}
