import type { MemberSettings } from '../protocol.js';
import type { Mutant } from './mutant.js';
import { built, edit } from './mutant.js';

/** The claims of limited topics. */
const CLAIMS = ['CLAIM_LIMITED'];
const HAS_LOCK = "current_setting('nestjs_jobs.claim', true) IS NOT DISTINCT FROM $2";
/** For so long SQLite's mutant believes a count that it has read. */
const BELIEVED_MS = 500;

const isPostgres = ({ database }: MemberSettings): boolean => database.type === 'postgres';

/** Sets the stamp without a lock. */
const passLock = (settings: MemberSettings): void =>
  edit(settings, ['LOCK_TOPIC'], () => `SELECT set_config('nestjs_jobs.claim', $1, true) WHERE $2::int IS NOT NULL`);

export const limitMutants: readonly Mutant[] = [
  {
    name: 'limits without the lock',
    wrong: 'claims of one topic run at the same time',
    breaks: ['limit', 'rate'],
    break: passLock,
  },
  {
    name: 'limits without the stamp',
    wrong: 'a claim does not learn that another one has the lock',
    breaks: ['limit', 'rate'],
    break: (settings) => edit(settings, CLAIMS, (sql) => sql.replaceAll(HAS_LOCK, '$2::text IS NOT NULL')),
  },
  {
    name: 'limits counted before the lock',
    wrong: 'running jobs and starts are counted in a snapshot that is older than the lock',
    breaks: ['limit', 'rate'],
    break: (settings) => {
      if (!isPostgres(settings)) {
        return rewriteScript(believeOldCounts());
      }
      passLock(settings);
      const lock = `(SELECT $2::text IS NOT NULL FROM (SELECT pg_advisory_xact_lock(1, hashtext($1))) AS l)`;
      edit(settings, CLAIMS, (sql) => sql.replaceAll(HAS_LOCK, lock));
    },
  },
  {
    name: 'limits counted by each process',
    wrong: 'a process counts what it runs itself',
    breaks: ['limit'],
    break: (settings) => {
      if (isPostgres(settings)) {
        return edit(settings, CLAIMS, (sql) => sql.replace(/locked_until IS NOT NULL LIMIT/g, 'locked_by = $3 LIMIT'));
      }
      rewriteScript(({ worker }) => ({ sql, ...rest }) => ({
        send: { ...rest, sql: sql.replace(/ LIMIT \?(\d)\)$/, ` AND locked_by = '${worker}' LIMIT ?$1)`) },
      }));
    },
  },
  {
    name: 'a window that ends too early',
    wrong: 'a start is forgotten before its window is over',
    breaks: ['rate'],
    break: (settings) =>
      isPostgres(settings)
        ? edit(settings, CLAIMS, (sql) => sql.replaceAll('- 64', '- 40'))
        : edit(settings, ['COUNT_STARTS'], (sql) => sql.replaceAll('- 64', '- 40')),
  },
  {
    name: 'a window without the hand-over',
    wrong: 'a start counts from its claim, although the handler starts later',
    breaks: ['rate'],
    break: (settings) =>
      isPostgres(settings)
        ? edit(settings, CLAIMS, (sql) => sql.replaceAll(' + $8::int) * 64', ') * 64'))
        : edit(settings, ['ADD_STARTS'], (sql) => sql.replace(' + ?4)', ')')),
  },
  {
    name: 'handlers that start late',
    wrong: 'a handler is called after the hand-over of its claim',
    breaks: ['rate'],
    break: () => {
      const { Attempt } = built('engine/run/attempt.js') as { Attempt: { prototype: { isLate: () => boolean } } };
      Attempt.prototype.isLate = () => false;
    },
  },
];

interface Statement {
  readonly sql: string;
  readonly params: readonly unknown[];
}

type Rows = readonly object[];
type Script = Generator<Statement, unknown, Rows>;

/** What the mutant makes of a statement: another one, or rows without asking the database. */
type Rewrite = (statement: Statement) => { send: Statement; keep?: (rows: Rows) => void } | { rows: Rows };

/** Rewrites the statements of SQLite's claim script. */
function rewriteScript(rewriteFor: (request: { readonly worker: string }) => Rewrite): void {
  const scripts = built('store/limits/sqlite-limited-claim-script.js');
  const original = scripts.limitedClaimScript as (request: { readonly worker: string }) => Script;
  scripts.limitedClaimScript = function* (request: { readonly worker: string }): Script {
    const rewrite = rewriteFor(request);
    const script = original(request);
    let step = script.next();
    while (!step.done) {
      const instead = rewrite(step.value);
      const rows = 'rows' in instead ? instead.rows : yield instead.send;
      if ('send' in instead) instead.keep?.(rows);
      step = script.next(rows);
    }
    return step.value;
  };
}

/** Counts are read from the last claim for a while, as if they had been read before the transaction began. */
function believeOldCounts(): () => Rewrite {
  const known = new Map<string, { readonly rows: Rows; readonly readAtMs: number }>();
  return () => (statement) => {
    if (!/^\s*SELECT (count|coalesce\(sum)/.test(statement.sql)) {
      return { send: statement };
    }
    const name = JSON.stringify([statement.sql, statement.params]);
    const last = known.get(name);
    return last && performance.now() - last.readAtMs < BELIEVED_MS
      ? { rows: last.rows }
      : { send: statement, keep: (rows) => known.set(name, { rows, readAtMs: performance.now() }) };
  };
}
