/** @matrix typeorm-0.3, typeorm-0.3-postgres */

import type { JobEventType } from 'nestjs-jobs';
import { SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import Database from 'better-sqlite3';
import type { EntityManager } from 'typeorm';
import { DataSource } from 'typeorm';
import { signal, until } from '../support/wait.js';
import { waitForAbort } from './support/wait-for-abort.js';
import type { Handler } from './support/apps.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

/** A transition: how to cause it, and the row that is visible when its event is emitted. */
interface Transition {
  readonly type: JobEventType;
  readonly status: string;
  readonly attempt: number;
  /** Creates the job and returns a function that causes the transition, by SQL on this manager if needed. */
  readonly prepare: (app: TestApp) => Promise<(on: EntityManager) => unknown>;
}

const inADay = { type: 'fixed', delay: '1d', jitter: 0 } as const;

/** Handlers that wait for the gate and then end according to their topic. */
class GatedHandlers {
  readonly gate = signal();
  readonly handlers: Record<string, Handler>;

  constructor() {
    const thenThrow =
      (error: Error): Handler =>
      async () => {
        await this.gate.promise;
        throw error;
      };
    this.handlers = {
      completed: () => this.gate.promise,
      retrying: thenThrow(new Error('later')),
      failed: thenThrow(new UnrecoverableError('never')),
      snoozed: thenThrow(new SnoozeError('1d')),
      cancelled: waitForAbort,
    };
  }

  /** Returns the transition of a running attempt that ends. */
  createEndTransition(type: 'completed' | 'retrying' | 'failed' | 'snoozed', status: string): Transition {
    const prepare: Transition['prepare'] = async (app) => {
      const { id } = await app.jobs.enqueue(type, null);
      await app.event('started', id);
      return () => this.gate.resolve();
    };
    return { type, status, attempt: 1, prepare };
  }
}

const transitions: [JobEventType, (gated: GatedHandlers) => Transition][] = [
  ['completed', (gated) => gated.createEndTransition('completed', 'completed')],
  ['retrying', (gated) => gated.createEndTransition('retrying', 'pending')],
  ['failed', (gated) => gated.createEndTransition('failed', 'failed')],
  ['snoozed', (gated) => gated.createEndTransition('snoozed', 'pending')],
  [
    'enqueued',
    () => ({
      type: 'enqueued',
      status: 'pending',
      attempt: 0,
      prepare: async (app) => () => app.jobs.enqueue('unhandled', null),
    }),
  ],
  [
    'started',
    () => ({
      type: 'started',
      status: 'processing',
      attempt: 1,
      prepare: async (app) => {
        const { id } = await app.jobs.enqueue('late', null);
        await app.event('enqueued', id);
        return () => app.jobs.register('late', waitForAbort);
      },
    }),
  ],
  [
    'cancelled',
    () => ({
      type: 'cancelled',
      status: 'cancelled',
      attempt: 0,
      prepare: async (app) => {
        const { id } = await app.jobs.enqueue('unhandled', null);
        return () => app.jobs.cancel(id);
      },
    }),
  ],
  [
    'rescued',
    () => ({
      type: 'rescued',
      status: 'pending',
      attempt: 1,
      prepare: async (app) => {
        const { id } = await app.jobs.enqueue('unhandled', null);
        const past = `'2000-01-01 00:00:00.000'`;
        return (on) =>
          on.query(
            `UPDATE _jobs SET status = 'processing', attempt = 1, locked_until = ${past}, started = ${past} WHERE id = '${id}'`,
          );
      },
    }),
  ],
];

describe.each(transitions)('the event %s', (_, createTransition) => {
  describe('on a SQLite file', () => {
    const apps = useApps(sqliteFile);

    it('is emitted after its transition is visible in the database', async () => {
      const gated = new GatedHandlers();
      const { type, status, attempt, prepare } = createTransition(gated);
      const app = await apps.start({ options: { backoff: inADay, shutdownTimeout: 0 }, handlers: gated.handlers });
      const reader = new Database(app.dataSource.options.database as string, { readonly: true });
      apps.afterwards(async () => reader.close());
      const query = reader.prepare('SELECT status, attempt FROM _jobs WHERE id = ?');
      const go = await prepare(app);
      const seen: unknown[] = [];
      app.jobs.events.subscribe((event) => event.type === type && seen.push(query.get(event.id)));
      await go(app.dataSource.manager);
      await until(() => seen.length > 0);
      expect(seen).toEqual([{ status, attempt }]);
    });
  });

  describe('on PostgreSQL', () => {
    const apps = useApps(postgres);

    it('is emitted after the commit of its transition', async () => {
      const gated = new GatedHandlers();
      const { type, status, attempt, prepare } = createTransition(gated);
      const app = await apps.start({ options: { backoff: inADay, shutdownTimeout: 0 }, handlers: gated.handlers });
      const outside = await new DataSource(apps.address).initialize();
      apps.afterwards(() => outside.destroy());
      const go = await prepare(app);
      const before = app.eventsOf(type).length;

      // Blocks writers and allows readers until the transaction ends.
      const blocker = outside.createQueryRunner();
      await blocker.startTransaction();
      await blocker.query('LOCK TABLE _jobs IN EXCLUSIVE MODE');
      const going = go(blocker.manager);
      await until(async () => {
        const waiting = await outside.query<unknown[]>(
          `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'nestjs-jobs'
             AND wait_event_type = 'Lock'`,
        );
        return waiting.length > 0;
      });
      expect(app.eventsOf(type)).toHaveLength(before);

      const seen: Promise<unknown>[] = [];
      app.jobs.events.subscribe((event) => {
        if (event.type === type) {
          seen.push(outside.query('SELECT status, attempt FROM _jobs WHERE id = $1', [event.id]));
        }
      });
      await blocker.commitTransaction();
      await blocker.release();
      await going;
      await until(() => seen.length > 0);
      expect(await seen[0]).toEqual([{ status, attempt }]);
    });
  });
});
