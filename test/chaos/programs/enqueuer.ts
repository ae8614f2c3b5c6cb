import { setTimeout as sleep } from 'node:timers/promises';
import type { EnqueueOptions, JobsEngine } from 'nestjs-jobs';
import { JobsError } from 'nestjs-jobs';
import type { DataSource, EntityManager } from 'typeorm';
import { Dice } from '../dice.js';
import type { Load, Poison } from '../protocol.js';
import { DOOMED, limitedTopics, poisons } from '../protocol.js';
import type { Graph } from './graphs.js';
import { lateChild, randomGraph } from './graphs.js';
import { history, onTermination, openApplication, reportReady, settings } from './member-settings.js';

const LOOPS = 3;
const PAUSE_MAX_MS = 80;
const BACKLOG_LOOK_MS = 250;
const POISON_SHARE = 0.15;
const POISON_RETRIES = 2;
const LIMITED_SHARE = 0.9;
const LIMITED_MS = [10, 80] as const;
const KEYS = 6;
const KEYED_SHARE = 0.8;
const LINKED_SHARE = 0.7;
/** Of these, children of jobs that are stored already. */
const LATE_SHARE = 0.3;
const STORED_MAX = 8;
const UNREST_SHARE = 0.2;
/** One in so many stored with an order is rolled back. */
const ROLLED_BACK_SHARE = 0.2;
/** Jobs of a limited topic that wait: enough for each limit to hold some back, and soon done. */
const LIMITED_BACKLOG_MAX = 25;
const BACKLOG = `SELECT topic, count(*) AS count FROM _jobs WHERE status = 'pending' GROUP BY topic`;

class RolledBack extends Error {}

interface Order {
  readonly topic: string;
  readonly payload: Load;
  readonly options: EnqueueOptions;
}

/** Enqueues jobs in every way and records each result. */
class Enqueuer {
  isEnding = false;
  private isFull = false;
  private waiting = new Map<string, number>();
  private count = 0;
  /** Stored jobs that end completed, the latest ones. */
  private readonly stored: { n: string; id: string }[] = [];
  private readonly dice = new Dice(settings.seed);

  constructor(
    private readonly app: DataSource,
    private readonly engine: JobsEngine,
  ) {}

  async run(): Promise<void> {
    await Promise.all([this.watchBacklog(), ...Array.from({ length: LOOPS }, () => this.enqueueOn())]);
  }

  private async watchBacklog(): Promise<void> {
    while (!this.isEnding) {
      const rows = await this.app.query<{ topic: string; count: number | string }[]>(BACKLOG).catch(() => []);
      this.waiting = new Map(rows.map(({ topic, count }) => [topic, Number(count)]));
      const others = [...this.waiting].filter(([topic]) => !(topic in limitedTopics));
      this.isFull = others.reduce((sum, [, count]) => sum + count, 0) >= settings.backlogMax;
      await sleep(BACKLOG_LOOK_MS);
    }
  }

  private async enqueueOn(): Promise<void> {
    while (!this.isEnding) {
      if (!this.isFull) await this.enqueueOnce();
      await sleep(this.dice.whole(0, PAUSE_MAX_MS));
    }
  }

  private async enqueueOnce(): Promise<void> {
    if (settings.isLinked && this.dice.chance(LINKED_SHARE)) {
      return this.enqueueLinked();
    }
    const way = this.dice.next();
    if (way < 0.5) {
      const { topic, payload, options } = this.order();
      await this.told([payload.n], async () => [await this.engine.enqueue(topic, payload, options)]);
    } else if (way < 0.75) {
      const orders = Array.from({ length: this.dice.whole(2, 5) }, () => this.order());
      await this.told(
        orders.map(({ payload }) => payload.n),
        () => this.engine.enqueueMany(orders.map(({ topic, payload, options }) => ({ topic, payload, ...options }))),
      );
    } else {
      const order = this.order();
      await this.told([order.payload.n], async () => [await this.withOrder(order)], true);
    }
  }

  /** A graph, a group, or a child of a stored job; the first and the last in a transaction of the application now and then. */
  private async enqueueLinked(): Promise<void> {
    const n = `${settings.name}.${(this.count += 1)}`;
    const parent = this.stored.at(-1 - this.dice.whole(0, STORED_MAX - 1));
    if (parent && this.dice.chance(LATE_SHARE)) {
      return this.enqueueGraph({ jobs: [lateChild(this.dice, n, parent)], isSteady: true });
    }
    const graph = randomGraph(this.dice, n, steadyTopics());
    const { jobs, callbacks } = graph;
    if (!callbacks) {
      return this.enqueueGraph(graph);
    }
    const members = jobs.map(({ payload }) => payload.n);
    await this.told(members, async () => (await this.engine.groups.enqueue(jobs, callbacks)).jobs);
  }

  private async enqueueGraph({ jobs, isSteady }: Graph): Promise<void> {
    const names = jobs.map(({ payload }) => payload.n);
    const [isInTransaction, isRolledBack] = [this.dice.chance(0.25), this.dice.chance(ROLLED_BACK_SHARE)];
    const store = (manager: EntityManager): Promise<{ id: string }[]> => this.engine.enqueueMany(jobs, manager);
    const ask = (): Promise<{ id: string }[]> =>
      isInTransaction
        ? this.app.transaction(async (manager) => {
            const stored = await store(manager);
            if (isRolledBack) throw new RolledBack();
            return stored;
          })
        : this.engine.enqueueMany(jobs);
    const stored = await this.told(names, ask, isInTransaction);
    if (isSteady) {
      this.stored.push(...stored.map(({ id }, index) => ({ id, n: names[index]! })));
      this.stored.splice(0, this.stored.length - STORED_MAX);
    }
  }

  /** The order and its job, in one transaction: both or neither. */
  private withOrder({ topic, payload, options }: Order): Promise<{ id: string }> {
    const isRolledBack = this.dice.chance(ROLLED_BACK_SHARE);
    return this.app.transaction(async (manager) => {
      const job = await this.engine.enqueueTx(manager, topic, payload, options);
      await manager.query(`INSERT INTO orders (n, job_id) VALUES ('${payload.n}', '${job.id}')`);
      if (isRolledBack) throw new RolledBack();
      return job;
    });
  }

  /** Records an enqueue and its result. Returns the stored jobs. */
  private async told(
    names: readonly string[],
    ask: () => Promise<readonly { id: string }[]>,
    isInTransaction = false,
  ): Promise<readonly { id: string }[]> {
    names.forEach((n) => history.write({ kind: 'asked', n }));
    const sinceMs = performance.now();
    const took = (): number => Math.round(performance.now() - sinceMs);
    try {
      const jobs = await ask();
      jobs.forEach(({ id }, index) => history.write({ kind: 'acknowledged', n: names[index]!, id, tookMs: took() }));
      return jobs;
    } catch (error) {
      if (error instanceof RolledBack) {
        names.forEach((n) => history.write({ kind: 'rolled back', n }));
        return [];
      }
      const code = error instanceof JobsError ? error.code : null;
      const answer = { kind: 'refused', isInTransaction, code, message: String(error), tookMs: took() } as const;
      names.forEach((n) => history.write({ ...answer, n }));
      return [];
    }
  }

  private order(): Order {
    const n = `${settings.name}.${(this.count += 1)}`;
    const { dice } = this;
    if (settings.isPoisonous && dice.chance(POISON_SHARE)) {
      return poisoned(n, dice.pick(poisons));
    }
    const limited = this.limitedTopics();
    if (settings.isLimited && limited.length > 0 && dice.chance(LIMITED_SHARE)) {
      return this.limitedOrder(n, dice.pick(limited));
    }
    const topic = dice.pick([...steadyTopics(), 'fragile', DOOMED]);
    const options: EnqueueOptions = {
      priority: dice.whole(-1, 1),
      ...(topic === 'fragile' || topic === DOOMED ? { maxRetries: 0 } : {}),
      ...(dice.chance(0.2) ? { delay: dice.whole(50, 600) } : {}),
    };
    return { topic, payload: { n, ms: dice.whole(...settings.handlerMs), obeys: dice.chance(0.5) }, options };
  }

  /** The limited topics in which few jobs wait. */
  private limitedTopics(): string[] {
    return Object.keys(limitedTopics).filter((topic) => (this.waiting.get(topic) ?? 0) < LIMITED_BACKLOG_MAX);
  }

  /** Most jobs have one of a few keys. Some fail or snooze at first. */
  private limitedOrder(n: string, topic: string): Order {
    const { dice } = this;
    const first = dice.chance(UNREST_SHARE) ? dice.pick(['throws', 'snoozes'] as const) : undefined;
    const options: EnqueueOptions = {
      priority: dice.whole(0, 1),
      ...(dice.chance(KEYED_SHARE) ? { concurrencyKey: `key-${dice.whole(1, KEYS)}` } : {}),
      ...(dice.chance(0.2) ? { delay: dice.whole(50, 600) } : {}),
    };
    return { topic, payload: { n, ms: dice.whole(...LIMITED_MS), obeys: dice.chance(0.5), first }, options };
  }
}

/** Topics whose jobs complete, however often they are killed. */
function steadyTopics(): string[] {
  const topics = ['plain', 'complete_tx', 'complete_tx', 'batch_tx', 'batch_tx'];
  return settings.database.type === 'postgres' ? [...topics, 'transactional', 'transactional'] : topics;
}

function poisoned(n: string, poison: Poison): Order {
  const topic = poison === 'never settles' ? 'poison_endless' : 'poison';
  return { topic, payload: { n, ms: 0, obeys: false, poison }, options: { maxRetries: POISON_RETRIES } };
}

async function main(): Promise<void> {
  const application = await openApplication({ ...settings.options, role: 'producer' });
  const { app, engine } = application;
  const enqueuer = new Enqueuer(app, engine);
  const work = enqueuer.run();
  onTermination(async () => {
    enqueuer.isEnding = true;
    await work;
    await application.close();
  });
  reportReady();
}

void main();
