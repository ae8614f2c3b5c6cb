import type { Evidence, JobRow, LedgerRow } from '../cluster/evidence.js';
import type { LoadLink } from '../protocol.js';
import { groupBy } from './jobs.js';
import type { Violation } from './violation.js';

/** A blocked job is due after this time. */
const BLOCKED_MS = Date.UTC(9999, 11, 30);
const CALLBACKS = ['onFailure', 'onFinish', 'onSuccess'];

/** A job that waits for others, and what the ledger says of it and of them. */
interface Child {
  readonly job: JobRow;
  readonly link: LoadLink;
  readonly parents: readonly JobRow[];
  readonly rows: readonly LedgerRow[];
  readonly rowsOf: (parent: JobRow) => readonly LedgerRow[];
}

/** Jobs that a parent or a group has released. */
export function countReleases({ ledger }: Evidence): number {
  return [...groupBy(ledger, ({ job_id: id }) => id).values()].flatMap((rows) => releasesOf(rows)).length;
}

/** No child starts before its parents, each ends as they have ended, and each callback as its group. */
export function checkLinks({ jobs, ledger, isDrained }: Evidence): Violation[] {
  const byName = new Map(jobs.map((job) => [job.n, job]));
  const byJob = groupBy(ledger, ({ job_id: id }) => id);
  const rowsOf = ({ id }: JobRow): readonly LedgerRow[] => byJob.get(id) ?? [];
  const linked = jobs.flatMap((job) => (job.link === null ? [] : [{ job, link: JSON.parse(job.link) as LoadLink }]));
  const violations = linked.flatMap(({ job, link }): Violation[] => {
    const parents = link.parents.flatMap((name) => byName.get(name) ?? []);
    if (parents.length < link.parents.length) {
      return [{ promise: 'half done', detail: `${job.n} is there, not all of its parents are` }];
    }
    const child: Child = { job, link, parents, rows: rowsOf(job), rowsOf };
    return [...checkStarts(child), ...(isDrained ? checkEnd(child) : [])];
  });
  const groups = groupBy(linked, ({ link }) => link.group);
  groups.delete(undefined);
  return [...violations, ...[...groups].flatMap(([name, members]) => checkCallbacks(name!, members))];
}

/** A group has all of its callbacks, each once. */
function checkCallbacks(name: string, members: readonly { readonly link: LoadLink }[]): Violation[] {
  const modes = members.map(({ link }) => link.mode).filter((mode) => CALLBACKS.includes(mode));
  return modes.sort().join() === CALLBACKS.join()
    ? []
    : [{ promise: 'half done', detail: `group ${name} has the callbacks ${modes.join()}` }];
}

function checkStarts(child: Child): Violation[] {
  const claims = child.rows.filter(({ was, now }) => was === 'pending' && now === 'processing');
  return claims
    .filter((claim) => !mayStart(child, claim.seq))
    .map((claim) => ({
      promise: 'early',
      detail: `${child.job.n} (${child.link.mode}) was claimed, move ${claim.seq}, before its parents had ended`,
    }));
}

function mayStart({ link, parents, rowsOf }: Child, seq: number): boolean {
  const before = (parent: JobRow): LedgerRow[] => rowsOf(parent).filter((row) => row.seq < seq);
  switch (link.mode) {
    case 'cancel':
    case 'wait':
      return parents.every((parent) => before(parent).at(-1)?.now === 'completed');
    case 'onSuccess':
      return parents.every((parent) => before(parent).find(isEnd)?.now === 'completed');
    case 'onFailure':
      return parents.some((parent) => before(parent).find(isEnd)?.now === 'failed');
    default:
      return parents.every((parent) => before(parent).some(isEnd));
  }
}

function checkEnd({ job, link, parents, rowsOf }: Child): Violation[] {
  const isExpected = (): boolean => {
    const ends = parents.map((parent) => rowsOf(parent).find(isEnd)?.now);
    switch (link.mode) {
      case 'cancel':
        return (job.status === 'cancelled') === parents.some(({ status }) => status !== 'completed');
      case 'onSuccess':
        return job.status === (ends.every((end) => end === 'completed') ? 'completed' : 'cancelled');
      case 'onFailure':
        return job.status === (ends.includes('failed') ? 'completed' : 'cancelled');
      default:
        return job.status !== 'cancelled';
    }
  };
  const states = parents.map(({ n, status }) => `${n} ${status}`).join(', ');
  return isExpected()
    ? []
    : [{ promise: 'lost', detail: `${job.n} (${link.mode}) ended ${job.status}; its parents: ${states}` }];
}

/** Moves that make a blocked job due, or cancel it. */
function releasesOf(rows: readonly LedgerRow[]): LedgerRow[] {
  return rows.filter((row, index) => {
    const isBlocked = ({ now, run_at: runAt }: LedgerRow): boolean => now === 'pending' && runAt! > BLOCKED_MS;
    const before = rows[index - 1];
    return before !== undefined && isBlocked(before) && !isBlocked(row);
  });
}

function isEnd({ now }: LedgerRow): boolean {
  return now === 'completed' || now === 'failed' || now === 'cancelled';
}
