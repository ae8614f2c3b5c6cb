import { endsWithin } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import { toErrorMessage } from '../../core/error-text.js';
import type { OptionValues } from '../../core/option-checks.js';
import { duration, integer, optional, readOptions } from '../../core/option-checks.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { QueueGauges } from './queue-gauges.js';

/** What a health check requires, besides the database and the loops. */
export interface HealthOptions {
  /** The longest that a due job may have waited. Does not count paused topics. Default: not checked. */
  maxOldest?: Duration | undefined;
  /** The least number of live processes that run jobs. Default: not checked. */
  minWorkers?: number | undefined;
}

/** The result of a health check. */
export interface QueueHealthReport {
  readonly status: 'up' | 'down';
  /** Why the queue is down. */
  readonly message?: string;
  readonly database: 'up' | 'down';
  /** The loops of this process. Always up in a producer, which has none. */
  readonly loops: 'up' | 'down';
  /** How long the oldest due job has waited, in milliseconds. Only with `maxOldest`. */
  readonly oldestWaitingMs?: number;
  /** Live processes that run jobs. Only with `minWorkers`. */
  readonly workers?: number;
}

interface QueueHealthParts extends Pick<EngineParts, 'store' | 'clock' | 'role' | 'leaseMs'> {
  readonly gauges: QueueGauges;
  readonly lifecycle: { readonly isStarted: boolean };
  /** By their names in messages. */
  readonly loops: Readonly<Record<string, { isStuck(limitMs: number): boolean }>>;
}

/** How long the database may take to reply. */
const REPLY_MAX_MS = 5_000;

const healthTable = {
  maxOldest: optional(duration(0)),
  minWorkers: optional(integer(0, 1_000_000)),
};

/** What the database says, and what is wrong with it. */
interface Backlog extends Pick<QueueHealthReport, 'oldestWaitingMs' | 'workers'> {
  readonly problems: readonly string[];
}

/** Checks whether the queue works in this process. */
export class QueueHealth {
  constructor(private readonly parts: QueueHealthParts) {}

  /** Reports a database that does not reply within 5 s as down. @throws InvalidOptionsError for a wrong option. */
  async check(options: HealthOptions = {}): Promise<QueueHealthReport> {
    const limits = readOptions(healthTable, options, 'health');
    const loopProblems = this.findLoopProblems();
    const loops = loopProblems.length === 0 ? 'up' : 'down';
    const reply = await this.ask(limits);
    if (typeof reply === 'string') {
      return { status: 'down', message: [...loopProblems, reply].join('; '), database: 'down', loops };
    }
    const { problems, ...values } = reply;
    const all = [...loopProblems, ...problems];
    return all.length === 0
      ? { status: 'up', database: 'up', loops, ...values }
      : { status: 'down', message: all.join('; '), database: 'up', loops, ...values };
  }

  private findLoopProblems(): string[] {
    const { role, lifecycle, loops, leaseMs } = this.parts;
    if (role === 'producer') {
      return [];
    }
    if (!lifecycle.isStarted) {
      return ['the queue has not started, or has stopped'];
    }
    const stuck = Object.keys(loops).filter((name) => loops[name]!.isStuck(leaseMs));
    return stuck.length === 0 ? [] : [`no progress for ${leaseMs} ms: ${stuck.join(', ')}`];
  }

  /** Returns why the database did not reply, if it did not. */
  private async ask(limits: OptionValues<typeof healthTable>): Promise<Backlog | string> {
    let reply: Backlog | string = `the database did not reply within ${REPLY_MAX_MS} ms`;
    const asked = this.readBacklog(limits).then(
      (backlog) => (reply = backlog),
      (error: unknown) => (reply = toErrorMessage(error)),
    );
    await endsWithin(this.parts.clock, REPLY_MAX_MS, asked);
    return reply;
  }

  private async readBacklog({ maxOldest, minWorkers }: OptionValues<typeof healthTable>): Promise<Backlog> {
    const { store, gauges } = this.parts;
    const paused = new Set((await store.pauses.list()).map(({ topic }) => topic));
    if (maxOldest === undefined && minWorkers === undefined) {
      return { problems: [] };
    }
    const { topics, workers } = await gauges.read();
    const waits = topics.filter(({ topic }) => !paused.has(topic)).map((each) => each.oldestWaitingMs);
    const oldestWaitingMs = Math.max(0, ...waits);
    const isLate = maxOldest !== undefined && oldestWaitingMs > maxOldest;
    const lacksWorkers = minWorkers !== undefined && workers < minWorkers;
    return {
      ...(maxOldest !== undefined && { oldestWaitingMs }),
      ...(minWorkers !== undefined && { workers }),
      problems: [
        ...(isLate ? [`a due job has waited ${oldestWaitingMs} ms, expected at most ${maxOldest} ms`] : []),
        ...(lacksWorkers ? [`${workers} live workers, expected at least ${minWorkers}`] : []),
      ],
    };
  }
}
