import type { Retention } from '../../core/retention.js';
import { countFitting, SET_JOBS_MAX } from '../../core/bounds.js';
import type { ClaimToken } from '../../core/job.js';
import { INSERT_MEMBERS } from './columns.js';
import type { RollupEntry } from '../reports/report-records.js';
import type { Completion, JobInsert, LostLease, ProgressEntry, Settlement } from './job-records.js';

/*
 * Converts a set to the one JSON array that a statement takes. Members that are JSON text already are inserted as they are: that
 * saves quoting and parsing them again.
 */

/** Cuts a set into pieces that fit into a statement: `jsonb` takes 256 MiB at most. */
export function splitIntoPieces(jobs: readonly JobInsert[]): JobInsert[][] {
  const pieces: JobInsert[][] = [];
  for (let from = 0; from < jobs.length; from += pieces.at(-1)!.length) {
    pieces.push(jobs.slice(from, from + countFitting(jobs, from, SET_JOBS_MAX, measureInsert)));
  }
  return pieces;
}

/** Returns the length of a job's payload and metadata in a statement. */
export function measureInsert({ payload, metadata, replacement }: JobInsert): number {
  return payload.length + (metadata?.length ?? 0) + (replacement?.payload.length ?? 0);
}

/** @param timeText writes a time in the format of the database. */
export function toInsertJson(jobs: readonly JobInsert[], timeText: (moment: Date) => string): string {
  return `[${jobs.map((job, ord) => toJobText(job, ord, timeText)).join(',')}]`;
}

const INSERT_MEMBER_TEXTS = INSERT_MEMBERS.map((member) => ({ ...member, prefix: `,"${member.name}":` }));

/** Leaves out absent members: most are absent. Joins the parts once, since texts that grow by `+=` are kept in pieces. */
function toJobText(job: JobInsert, ord: number, timeText: (moment: Date) => string): string {
  const { replacement } = job;
  const parts = [`{"ord":${ord}`];
  for (const { prefix, type, value } of INSERT_MEMBER_TEXTS) {
    const given = value(job);
    if (given !== null && given !== undefined) {
      parts.push(prefix, toMemberText(given, type, timeText));
    }
  }
  parts.push(replacement ? `,"holder_id":"${replacement.id}","holder_payload":${replacement.payload}}` : '}');
  return parts.join('');
}

function toMemberText(value: unknown, type: string, timeText: (moment: Date) => string): string {
  if (typeof value === 'string') {
    return type === 'jsonb' ? value : JSON.stringify(value);
  }
  return value instanceof Date ? `"${timeText(value)}"` : JSON.stringify(value);
}

export function toTokenJson(tokens: readonly ClaimToken[]): string {
  return JSON.stringify([...tokens].sort(byId).map(({ id, attempt }) => ({ id, attempt })));
}

export function toLossJson(losses: readonly LostLease[]): string {
  const sorted = [...losses].sort((a, b) => byId(a.token, b.token));
  return JSON.stringify(sorted.map(({ token: { id, attempt }, reason }) => ({ id, attempt, reason })));
}

export function toProgressJson(entries: readonly ProgressEntry[]): string {
  const sorted = [...entries].sort((a, b) => byId(a.token, b.token));
  const rows = sorted.map(
    ({ token: { id, attempt }, progress }) =>
      `{"id":${JSON.stringify(id)},"attempt":${attempt},"progress":${progress}}`,
  );
  return `[${rows.join(',')}]`;
}

/** Each completion is an array: id, attempt, start, run time and, if there is one, the result. */
export function toCompletionJson(completions: readonly Completion[]): string {
  const rows = completions.map(({ token: { id, attempt }, startedMs, durationMs, outcome: { result } }) => {
    const more = result === null || result === 'null' ? '' : `,${result}`;
    return `[${JSON.stringify(id)},${attempt},${startedMs ?? null},${durationMs}${more}]`;
  });
  return `[${rows.join(',')}]`;
}

export function toSettlementJson(settlements: readonly Settlement[]): string {
  const sorted = [...settlements].sort((a, b) => byId(a.token, b.token));
  return `[${sorted.map(toSettlementText).join(',')}]`;
}

/** Leaves out absent members: most outcomes have only id, attempt and kind. */
function toSettlementText({ token, outcome, startedMs, durationMs, expiresMs, progress }: Settlement): string {
  const { id, attempt } = token;
  const delayMs = 'delayMs' in outcome ? outcome.delayMs : 0;
  const failure = 'failure' in outcome ? `,${JSON.stringify(outcome.failure).slice(1, -1)}` : '';
  const result = outcome.kind === 'completed' && outcome.result !== null ? `,"result":${outcome.result}` : '';
  const expiry = expiresMs === undefined ? '' : `,"expires_ms":${expiresMs}`;
  const head = `"id":${JSON.stringify(id)},"attempt":${attempt},"kind":"${outcome.kind}"`;
  const box = toProgressBox(progress);
  return `{${head},"delay_ms":${delayMs},"started_ms":${startedMs ?? null},"ran_ms":${durationMs}${expiry}${failure}${result}${box ? `,"progress":${box}` : ''}}`;
}

/** Where claims have counted starts that must be taken back. */
export function toUncalledJson(settlements: readonly Settlement[]): string {
  return JSON.stringify(
    settlements.map(({ token: { id }, counted }) => ({
      id,
      rate_ms: counted!.rateMs,
      slice: counted!.slice,
      is_by_key: counted!.isByKey,
      at_ms: counted!.atMs,
      gap_ms: counted!.gapMs,
    })),
  );
}

/** Puts a progress value into an array. With `null` the row keeps its value, and with `[null]` it loses it. */
export function toProgressBox(progress: string | undefined): string | null {
  return progress === undefined ? null : `[${progress}]`;
}

/** Compares by id. Every write of several rows locks them in this order, which prevents deadlocks. */
export function byId(a: ClaimToken, b: ClaimToken): number {
  return a.id < b.id ? -1 : 1;
}

/** Takes the totals of the minute, and the jobs since the last record. */
export function toRollupJson(totals: readonly RollupEntry[], since: readonly RollupEntry[]): string {
  const members = (entries: readonly RollupEntry[], isTotal: boolean): object[] =>
    entries.map(({ topic, completed, failed, attemptsFailed, started, runMs, waitMs, histogram }) => ({
      is_total: isTotal,
      topic,
      completed,
      failed,
      attempts_failed: attemptsFailed,
      started,
      run_ms: runMs,
      wait_ms: waitMs,
      histogram,
    }));
  return JSON.stringify([...members(totals, true), ...members(since, false)]);
}

/** The ages above which finished jobs are pruned. */
interface RetentionAges {
  /** A JSON array of statuses with their ages in milliseconds. `null`: nothing is pruned, whatever topics declare. */
  readonly json: string | null;
  /** The lowest of the ages; `null`: there is none. */
  readonly youngestMs: number | null;
}

export function toRetentionAges(retention: Retention | null): RetentionAges {
  const ages = Object.entries(retention ?? {}).filter((entry): entry is [string, number] => entry[1] !== false);
  return {
    json: retention && JSON.stringify(ages.map(([status, age]) => ({ status, age_ms: age }))),
    youngestMs: ages.length === 0 ? null : Math.min(...ages.map(([, age]) => age)),
  };
}
