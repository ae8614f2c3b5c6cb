import { setImmediate as nextLoop } from 'node:timers/promises';
import type { DataSource, EntityManager } from 'typeorm';
import { EntitySchema } from 'typeorm';
import { useRecordingEngine } from '../../support/recording-engine.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { isMatrix } from '../../support/tier.js';

const SEEDS = isMatrix ? 10 : 3;
const ACTORS = 8;
const TRANSACTIONS = 12;
const DEPTH_MAX = 3;

const RowSchema = new EntitySchema<{ id: number }>({
  name: 'Row',
  tableName: 'rows',
  columns: { id: { type: 'integer', primary: true } },
});

type Random = (below: number) => number;

/** Mulberry32. */
function createRandom(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

class Refused extends Error {}

/** Random transactions, and the rows that they have committed as far as their callers know. */
class Actor {
  private static lastId = 0;
  readonly committed: number[] = [];
  readonly rolledBack: number[] = [];
  /** Nested transactions that the one around them does not await. */
  readonly unawaited: Promise<unknown>[] = [];

  constructor(
    private readonly app: DataSource,
    private readonly random: Random,
    private readonly enqueue: (manager: EntityManager) => Promise<unknown>,
    /** Whether some nested transactions are not awaited. */
    private readonly isCareless: boolean,
  ) {}

  async run(): Promise<void> {
    for (let count = 0; count < TRANSACTIONS; count += 1) {
      const rows: number[] = [];
      const isCommitted = await this.attempt((work) => this.begin(work), rows, 1);
      (isCommitted ? this.committed : this.rolledBack).push(...rows);
      if (this.random(3) === 0) {
        // An insert without a transaction would join the one that is open on the connection.
        this.committed.push(await this.save(this.app.manager, true));
      }
    }
  }

  /** Adds the rows of the transaction to `rows`. Returns whether it has resolved. */
  private async attempt(
    begin: (work: (manager: EntityManager) => Promise<void>) => Promise<void>,
    rows: number[],
    depth: number,
  ): Promise<boolean> {
    try {
      await begin((manager) => this.work(manager, rows, depth));
      return true;
    } catch (error) {
      if (!(error instanceof Refused) && !this.isCareless) throw error;
      return false;
    }
  }

  private begin(work: (manager: EntityManager) => Promise<void>): Promise<void> {
    const ways = [
      () => this.app.transaction(work),
      () => this.app.createEntityManager().transaction(work),
      () => this.beginWithRunner(work),
    ];
    return ways[this.random(ways.length)]!();
  }

  private async beginWithRunner(work: (manager: EntityManager) => Promise<void>): Promise<void> {
    const runner = this.app.createQueryRunner();
    await runner.startTransaction();
    try {
      await work(runner.manager);
      await runner.commitTransaction();
    } catch (error) {
      await runner.rollbackTransaction().catch(() => undefined);
      throw error;
    } finally {
      await runner.release();
    }
  }

  private async work(manager: EntityManager, rows: number[], depth: number): Promise<void> {
    const steps = this.random(5);
    for (let step = 0; step < steps; step += 1) {
      await this.step(manager, rows, depth);
    }
    if (this.random(4) === 0) throw new Refused();
  }

  private async step(manager: EntityManager, rows: number[], depth: number): Promise<void> {
    switch (this.random(6)) {
      case 0:
        return void (await nextLoop());
      case 1:
        return void rows.push(await this.save(this.app.manager));
      case 2:
        return void (await this.enqueue(manager).catch(() => undefined));
      case 3:
        return depth < DEPTH_MAX ? this.nest(manager, rows, depth + 1) : undefined;
      default:
        return void rows.push(await this.save(manager));
    }
  }

  private async nest(manager: EntityManager, rows: number[], depth: number): Promise<void> {
    const inner: number[] = [];
    const begin = this.random(2) === 0 ? manager : this.app;
    const ended = this.attempt((work) => begin.transaction(work), inner, depth).then((isReleased) => {
      // One that is not awaited can roll back the others around it.
      if (!isReleased && !this.isCareless) this.rolledBack.push(...inner);
      return isReleased ? inner : [];
    });
    if (this.isCareless && this.random(3) === 0) {
      this.unawaited.push(ended);
    } else {
      rows.push(...(await ended));
    }
  }

  private async save(manager: EntityManager, hasTransaction = this.random(2) === 0): Promise<number> {
    Actor.lastId += 1;
    const id = Actor.lastId;
    await (hasTransaction
      ? manager.getRepository(RowSchema).save({ id })
      : manager.getRepository(RowSchema).insert({ id }));
    return id;
  }
}

describe.each(storeKinds().filter(({ locksRows }) => !locksRows))('random transactions on $label', (kind) => {
  const createDatabase = async (): ReturnType<typeof kind.createDatabase> => {
    const database = await kind.createDatabase();
    return { ...database, app: (options) => database.app({ entities: [RowSchema], ...options }) };
  };
  const fixture = useStore({ ...kind, createDatabase }, { lease: '1m', sqlite: { lockTimeout: '1m' } });
  const queue = useRecordingEngine(fixture);
  beforeAll(() => fixture.sql('CREATE TABLE rows (id integer PRIMARY KEY)'));

  /** @param hasCareless whether the first actor does not await some of its nested transactions. */
  async function runActors(seed: number, hasCareless: boolean): Promise<Actor[]> {
    const random = createRandom(seed);
    const enqueue = (manager: EntityManager): Promise<string> => queue.enqueueTx(manager);
    const actors = Array.from(
      { length: ACTORS },
      (_, index) => new Actor(fixture.app, random, enqueue, hasCareless && index === 0),
    );
    await Promise.all(actors.map((actor) => actor.run()));
    await Promise.all(actors.flatMap(({ unawaited }) => unawaited));
    return actors;
  }

  /** Another connection sees only what is committed. */
  async function readIds(): Promise<Set<number>> {
    const { app } = kind.canHaveTwoConnections ? await fixture.openAnother() : fixture;
    return new Set((await app.query<{ id: number }[]>('SELECT id FROM rows')).map(({ id }) => id));
  }

  it.each(Array.from({ length: SEEDS }, (_, seed) => seed))(
    'store the rows of those that resolve and of no others: seed %i',
    async (seed) => {
      const actors = await runActors(seed, false);
      const stored = await readIds();
      expect(actors.flatMap(({ committed }) => committed).filter((id) => !stored.has(id))).toEqual([]);
      expect(actors.flatMap(({ rolledBack }) => rolledBack).filter((id) => stored.has(id))).toEqual([]);
      const ids = await queue.listIds();
      expect(queue.eventIds.sort()).toEqual(ids.sort());
    },
  );

  it.each(Array.from({ length: SEEDS }, (_, seed) => seed))(
    'are not affected by one that does not await its nested transactions: seed %i',
    async (seed) => {
      const actors = await runActors(seed + 1_000, true);
      const stored = await readIds();
      const careful = actors.slice(1);
      expect(careful.flatMap(({ committed }) => committed).filter((id) => !stored.has(id))).toEqual([]);
      expect(careful.flatMap(({ rolledBack }) => rolledBack).filter((id) => stored.has(id))).toEqual([]);
      await fixture.app.transaction((manager) => manager.getRepository(RowSchema).insert({ id: -seed - 1 }));
      expect(await readIds()).toContain(-seed - 1);
    },
  );
});
