import { randomUUID } from 'node:crypto';
import type { MemberSettings } from '../protocol.js';
import { deadLetterMutants } from './dead-letter-mutants.js';
import { limitMutants } from './limit-mutants.js';
import { linkMutants } from './link-mutants.js';
import type { Exports, Mutant } from './mutant.js';
import { built, edit } from './mutant.js';

/** How far the clock of a process is off, for the mutant that trusts it: some early, some late. */
const SKEWS_MS = [-4_000, 0, 4_000];

/** The statements that write how an attempt ended. */
const outcomesOn = ({ database }: MemberSettings): readonly string[] => [
  'COMPLETE',
  ...(database.type === 'postgres' ? ['COMPLETE_ONE'] : ['COMPLETE_BRIEF', 'COMPLETE_BRIEF_WITHOUT_ROWS']),
  'SETTLE',
  'COMPLETE_IN_TX',
];

/** The statements that take note of attempts at their last chance. */
const beginningsOn = ({ database }: MemberSettings): readonly string[] =>
  database.type === 'postgres' ? ['MARK_STARTED_BY_ROW_REF', 'MARK_STARTED'] : ['MARK_STARTED'];

const clocks = /statement_timestamp\(\)|strftime\('%Y-%m-%d %H:%M:%f', 'now'/g;

export const mutants: readonly Mutant[] = [
  {
    name: 'no rescue',
    wrong: 'jobs of a dead worker are never rescued',
    breaks: ['stuck'],
    break: (settings) =>
      edit(settings, ['RESCUE'], (sql) =>
        sql.replace(/status = 'processing' AND locked_until/, 'false AND locked_until'),
      ),
  },
  {
    name: 'completion by id',
    wrong: 'an outcome is written by any worker',
    breaks: ['double', 'overlap', 'move', 'half done'],
    break: (settings) => edit(settings, outcomesOn(settings), (sql) => withoutStatus(withoutAttempt(sql))),
  },
  {
    name: 'completion by id and status',
    wrong: 'an outcome is written while any worker runs the job',
    breaks: ['double', 'overlap', 'half done'],
    break: (settings) => edit(settings, outcomesOn(settings), withoutAttempt),
  },
  {
    name: 'attempt reset on requeue',
    wrong: 'the fence starts again when a failed job is re-queued',
    breaks: ['move'],
    break: (settings) => edit(settings, ['REQUEUE'], (sql) => sql.replace('retries = 0,', 'retries = 0, attempt = 0,')),
  },
  {
    name: 'no start marks',
    wrong: 'a started last attempt is treated as one that never started',
    breaks: ['overrun'],
    break: (settings) => edit(settings, beginningsOn(settings), (sql) => sql.replace('unstarted_attempt = NULL, ', '')),
  },
  {
    name: 'app clock',
    wrong: 'times are compared by the clock of each process, and these differ',
    breaks: ['overlap', 'early'],
    break: (settings) => {
      const skewMs = SKEWS_MS[Number(/\d+$/.exec(settings.name)![0]) % SKEWS_MS.length]!;
      edit(settings, ['CLAIM', 'RENEW', 'RESCUE'], (sql) =>
        sql.replace(clocks, (clock) =>
          clock.startsWith('str') ? `${clock}, '${skewMs / 1_000} seconds'` : `(${clock} + interval '${skewMs} ms')`,
        ),
      );
    },
  },
  {
    name: 'no re-LISTEN',
    wrong: 'a broken listening connection is not replaced',
    breaks: ['deaf'],
    break: () => {
      const { PostgresListener } = built('store/postgres/postgres-listener.js') as {
        PostgresListener: { prototype: Exports };
      };
      PostgresListener.prototype.onLost = () => undefined;
    },
  },
  {
    name: 'effect outside the transaction',
    wrong: 'the handler writes its effect on another connection than the completion',
    breaks: ['double'],
    // What is wrong here is the handler: see `tasks.ts`.
    break: () => undefined,
  },
  {
    name: 'cursor without compare',
    wrong: 'a tick fires wherever the cursor of its schedule stands',
    breaks: ['move'],
    break: (settings) =>
      edit(settings, [settings.database.type === 'postgres' ? 'FIRE_TICKS' : 'MOVE_CURSORS'], (sql) =>
        sql.replace(/AND (?:(?!AND)[^\n])*expected.*\n.*?(?= AND s\.paused)/, ''),
      ),
  },
  {
    name: 'random job id',
    wrong: 'the id of a tick says nothing of the tick',
    breaks: ['double'],
    break: () => {
      const ticks = built('engine/schedules/tick-job.js') as { toTickJob: (...args: unknown[]) => object };
      const { toTickJob } = ticks;
      ticks.toTickJob = (...args) => ({ ...toTickJob(...args), id: randomUUID() });
    },
  },
  {
    name: 'cursor moved before the insert',
    wrong: 'the cursor moves in one transaction, and another one inserts the job',
    breaks: ['lost'],
    break: () => {
      const { Scheduler } = built('engine/schedules/scheduler.js') as { Scheduler: { prototype: Exports } };
      Scheduler.prototype.fire = fireInTwoTransactions;
    },
  },
  {
    name: 'the last start wins',
    wrong: 'a definition counts as the newest when a process with it starts again',
    breaks: ['version'],
    break: (settings) => {
      edit(settings, ['DECLARE_DEFINITIONS'], (sql) =>
        sql.replace(/(DO UPDATE SET declared = .*?) WHERE NOT [^]*$/, '$1, first_seen = excluded.first_seen'),
      );
      if (settings.database.type !== 'postgres') {
        edit(settings, ['COUNT_DECLARED'], (sql) => sql.replace('count(*)', '-1 - count(*)'));
      }
    },
  },
  {
    name: 'commits that do not wait for the standby',
    wrong: 'the standby lags behind when it becomes the primary',
    breaks: ['lost'],
    // The fault changes the server, not the queue: see `failover.ts`.
    break: () => undefined,
  },
  ...limitMutants,
  ...linkMutants,
  ...deadLetterMutants,
];

/** As the network may be slow between the two transactions. */
const BETWEEN_TRANSACTIONS_MS = 200;

interface Firing {
  readonly name: string;
  readonly jobs: readonly object[];
}

interface FiringScheduler {
  readonly parts: {
    readonly store: {
      readonly schedules: { fire(firings: readonly Firing[]): Promise<readonly { name: string }[]> };
      insert(jobs: readonly object[]): Promise<unknown>;
    };
  };
  onFired(firings: readonly Firing[], fired: readonly object[]): void;
}

async function fireInTwoTransactions(this: FiringScheduler, firings: readonly Firing[]): Promise<void> {
  if (firings.length === 0) return;
  const { store } = this.parts;
  const moved = await store.schedules.fire(firings.map((firing) => ({ ...firing, jobs: [] })));
  await new Promise((resolve) => setTimeout(resolve, BETWEEN_TRANSACTIONS_MS));
  const names = new Set(moved.map(({ name }) => name));
  const jobs = firings.filter(({ name }) => names.has(name)).flatMap((firing) => firing.jobs);
  if (jobs.length > 0) await store.insert(jobs);
  this.onFired(firings, moved);
}

/** Breaks the build as the settings of this process say. */
export function breakBuild(settings: MemberSettings): void {
  if (settings.mutant !== null) {
    mutants.find(({ name }) => name === settings.mutant)!.break(settings);
  }
}

/** Every parameter stays in use: PostgreSQL refuses one that is not. */
const withoutAttempt = (sql: string): string =>
  sql.replace(/(j\.)?attempt = (o\.attempt|\$2|\?2|1) AND/g, (_guard, _row, value) => `CAST(${value} AS int) > 0 AND`);

const withoutStatus = (sql: string): string =>
  sql
    .replaceAll("j.status = 'processing' AND j.watched", 'j.watched')
    .replace(
      / AND\s+(\+?(j\.)?status (= |IS NOT DISTINCT FROM )'processing'|coalesce\(j\.status = 'processing', false\))/g,
      '',
    );
