import type { Retention } from '../core/options.js';
import { prefixWithinBytes, SET_JOBS_MAX } from '../core/limits.js';
import type { ClaimToken } from '../core/job.js';
import type { Completion, JobInsert, ProgressEntry, Settlement, RollupEntry } from './store-records.js';

/*
 * Sets as they travel into statements: one JSON array. JSON that is text already goes in as it is, instead of being
 * quoted here and parsed again there.
 */

/** A set cut into pieces that a statement can carry: `jsonb` takes 256 MiB at most, and memory is not free. */
export function splitIntoPieces(jobs: readonly JobInsert[]): JobInsert[][] {
  const pieces: JobInsert[][] = [];
  for (let from = 0; from < jobs.length; from += pieces.at(-1)!.length) {
    pieces.push(jobs.slice(from, from + prefixWithinBytes(jobs, from, SET_JOBS_MAX, insertLength)));
  }
  return pieces;
}

/** How much text of the caller's a new job brings into a statement. */
export function insertLength({ payload, metadata }: JobInsert): number {
  return payload.length + (metadata?.length ?? 0);
}

/** @param timeText writes a moment in the form of the database. */
export function insertJson(jobs: readonly JobInsert[], timeText: (moment: Date) => string): string {
  return `[${jobs.map((job, ord) => jobText(job, ord, timeText)).join(',')}]`;
}

/** Written member by member, without those that are absent: most are. */
function jobText(job: JobInsert, ord: number, timeText: (moment: Date) => string): string {
  const { id, topic, payload, runAt, delayMs, maxRetries, priority, metadata, idempotency } = job;
  const rest = [
    member('run_at', runAt && timeText(runAt)),
    member('timeout_ms', job.timeoutMs),
    member('backoff', job.backoff),
    member('unique_key', job.uniqueKey),
    metadata === null ? '' : `,"metadata":${metadata}`,
    idempotency ? member('idempotency_key', idempotency.key) + member('body_hash', idempotency.bodyHash) : '',
  ].join('');
  const head = `"ord":${ord},"id":${JSON.stringify(id)},"topic":${JSON.stringify(topic)},"payload":${payload}`;
  return `{${head},"delay_ms":${delayMs},"max_retries":${maxRetries},"priority":${priority}${rest}}`;
}

function member(name: string, value: unknown): string {
  return value === null ? '' : `,"${name}":${JSON.stringify(value)}`;
}

export function tokenJson(tokens: readonly ClaimToken[]): string {
  return JSON.stringify([...tokens].sort(byId).map(({ id, attempt }) => ({ id, attempt })));
}

/** Of several values for one claim the last one counts. */
export function progressJson(entries: readonly ProgressEntry[]): string {
  const latest = [...new Map(entries.map((entry) => [`${entry.token.id} ${entry.token.attempt}`, entry])).values()];
  const sorted = latest.sort((a, b) => byId(a.token, b.token));
  const rows = sorted.map(
    ({ token: { id, attempt }, progress }) =>
      `{"id":${JSON.stringify(id)},"attempt":${attempt},"progress":${progress ?? 'null'}}`,
  );
  return `[${rows.join(',')}]`;
}

/** As arrays of id, attempt, how long it ran and its result, which most have not. */
export function completionJson(completions: readonly Completion[]): string {
  const rows = completions.map(({ token: { id, attempt }, durationMs, outcome: { result } }) => {
    const more = result === null || result === 'null' ? '' : `,${result}`;
    return `[${JSON.stringify(id)},${attempt},${durationMs}${more}]`;
  });
  return `[${rows.join(',')}]`;
}

export function settlementJson(settlements: readonly Settlement[]): string {
  const sorted = [...settlements].sort((a, b) => byId(a.token, b.token));
  return `[${sorted.map(settlementText).join(',')}]`;
}

/** Written member by member: every job passes here, and most have nothing but their id, attempt and kind. */
function settlementText({ token, outcome, durationMs }: Settlement): string {
  const { id, attempt } = token;
  const delayMs = 'delayMs' in outcome ? outcome.delayMs : 0;
  const failure = 'failure' in outcome ? `,${JSON.stringify(outcome.failure).slice(1, -1)}` : '';
  const result = outcome.kind === 'completed' && outcome.result !== null ? `,"result":${outcome.result}` : '';
  const head = `"id":${JSON.stringify(id)},"attempt":${attempt},"kind":"${outcome.kind}"`;
  return `{${head},"delay_ms":${delayMs},"ran_ms":${durationMs}${failure}${result}}`;
}

/** Every write of several rows touches them in the order of ids. */
export function byId(a: ClaimToken, b: ClaimToken): number {
  return a.id < b.id ? -1 : 1;
}

/** What finished in a process, in both forms: totals of the minute, and what came since the last record. */
export function rollupJson(totals: readonly RollupEntry[], since: readonly RollupEntry[]): string {
  const members = (entries: readonly RollupEntry[], isTotal: boolean): object[] =>
    entries.map(({ topic, completed, failed, started, runMs, waitMs, histogram }) => ({
      is_total: isTotal,
      topic,
      completed,
      failed,
      started,
      run_ms: runMs,
      wait_ms: waitMs,
      histogram,
    }));
  return JSON.stringify([...members(totals, true), ...members(since, false)]);
}

/** Which finished jobs are old, as a pruning statement takes it. */
export interface RetentionAges {
  /** A JSON array of the statuses that are pruned, each with its age in milliseconds. */
  readonly json: string;
  /** Nothing younger is pruned, whatever its status; 0 where all is kept. */
  readonly youngestMs: number;
}

export function toRetentionAges(retention: Retention): RetentionAges {
  const ages = Object.entries(retention).filter((entry): entry is [string, number] => entry[1] !== false);
  return {
    json: JSON.stringify(ages.map(([status, age]) => ({ status, age_ms: age }))),
    youngestMs: ages.length === 0 ? 0 : Math.min(...ages.map(([, age]) => age)),
  };
}
