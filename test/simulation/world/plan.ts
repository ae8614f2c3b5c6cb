import type { JobsOptions } from 'nestjs-jobs';
import type { Dice } from '../../chaos/dice.js';

/** How one run of a handler behaves. */
export interface HandlerBehaviour {
  readonly ms: number;
  readonly end: 'return' | 'throw' | 'unrecoverable' | 'snooze';
  readonly ignoresSignal: boolean;
}

/** A job to enqueue. */
export interface PlannedJob {
  readonly serial: number;
  readonly topic: string;
  readonly atMs: number;
  readonly delayMs: number;
  readonly priority: number;
  readonly maxRetries: number;
  readonly uniqueKey: string | undefined;
  /** One for each run; the last one also for all later runs. */
  readonly behaviours: readonly HandlerBehaviour[];
}

/** A request of a user, or a fault. */
export type Incident =
  | { readonly kind: 'cancel' | 'requeue' | 'promote' | 'delete'; readonly serial: number }
  | { readonly kind: 'pause'; readonly host: number; readonly ms: number }
  | { readonly kind: 'outage'; readonly host: number; readonly ms: number }
  | { readonly kind: 'crash' | 'restart'; readonly host: number; readonly backInMs: number }
  | { readonly kind: 'clock'; readonly ms: number };

/** The probabilities of faults between processes and the table. */
export interface FaultRates {
  readonly refused: number;
  readonly answerLost: number;
  readonly slow: number;
  readonly hintLost: number;
  readonly locked: number;
  /** Slow scans of the indexes. */
  readonly costly: number;
}

/** Everything about a world that is decided before it starts. */
export interface Plan {
  /** No fault can cost a lease: so none may be lost, and every outcome must be recorded. */
  readonly isMild: boolean;
  readonly hosts: readonly JobsOptions[];
  /** How many jobs of a topic a process may run. */
  readonly topicLimits: Readonly<Record<string, number | undefined>>;
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly shutdownMs: number;
  readonly isDiscarding: boolean;
  readonly faultRates: FaultRates;
  readonly jobs: readonly PlannedJob[];
  readonly incidents: readonly { readonly atMs: number; readonly what: Incident }[];
  /** No fault happens after this. */
  readonly calmAtMs: number;
}

const SPAN_MS = 6_000;
export const TOPICS: readonly string[] = ['mail', 'sms', 'push'];
const MILD: FaultRates = { refused: 0.02, answerLost: 0.02, slow: 0, hintLost: 0.3, locked: 0.02, costly: 0.3 };
const ROUGH: FaultRates = { refused: 0.03, answerLost: 0.05, slow: 0.05, hintLost: 0.3, locked: 0.03, costly: 0.3 };

export function createPlan(dice: Dice): Plan {
  const isMild = dice.chance(0.35);
  const leaseMs = dice.pick([600, 1_000, 2_000]);
  const pollMs = dice.pick([50, 300, 1_000]);
  const shutdownMs = dice.pick([0, 300, 1_500, 4_000]);
  const isDiscarding = dice.chance(0.3);
  const hosts = Array.from({ length: dice.whole(1, 3) }, (): JobsOptions => ({
    concurrency: dice.whole(1, 4),
    lease: leaseMs,
    pollInterval: pollMs,
    shutdownTimeout: shutdownMs,
    timeout: dice.pick([400, 1_500, 5_000]),
    backoff: { type: dice.pick(['fixed', 'exponential', 'quadratic']), delay: dice.whole(0, 300), maxDelay: 1_000 },
    retention: isDiscarding ? { completed: 0, cancelled: dice.chance(0.5) ? 0 : false, failed: false } : false,
  }));
  const jobs = plannedJobs(dice, leaseMs);
  return {
    ...{ isMild, hosts, leaseMs, pollMs, shutdownMs, isDiscarding, jobs },
    topicLimits: { sms: dice.chance(0.5) ? dice.whole(1, 2) : undefined },
    faultRates: isMild ? MILD : ROUGH,
    incidents: [...requests(dice, jobs), ...(isMild ? restarts(dice, hosts) : faults(dice, hosts, leaseMs))],
    calmAtMs: SPAN_MS + 1,
  };
}

function plannedJobs(dice: Dice, leaseMs: number): PlannedJob[] {
  return Array.from({ length: dice.whole(3, 24) }, (_, serial) => ({
    serial,
    topic: dice.pick(TOPICS),
    atMs: dice.chance(0.3) ? dice.whole(0, 50) : dice.whole(0, SPAN_MS),
    delayMs: dice.chance(0.3) ? dice.whole(1, 3_000) : 0,
    priority: dice.pick([0, 0, 0, -5, 7]),
    maxRetries: dice.whole(0, 3),
    uniqueKey: dice.chance(0.15) ? dice.pick(['a', 'b']) : undefined,
    behaviours: [
      ...Array.from({ length: dice.whole(0, 3) }, () => randomBehaviour(dice, leaseMs)),
      { ...randomBehaviour(dice, leaseMs), end: dice.pick(['return', 'return', 'throw']) },
    ],
  }));
}

function randomBehaviour(dice: Dice, leaseMs: number): HandlerBehaviour {
  const ms = dice.pick([
    0,
    dice.whole(1, 20),
    dice.whole(1, 20),
    dice.whole(20, leaseMs),
    dice.whole(leaseMs, 4 * leaseMs),
  ]);
  const end = dice.pick(['return', 'return', 'return', 'throw', 'throw', 'unrecoverable', 'snooze'] as const);
  return { ms, end, ignoresSignal: dice.chance(0.15) };
}

/** Requests of users. */
function requests(dice: Dice, jobs: readonly PlannedJob[]): Plan['incidents'] {
  return Array.from({ length: dice.whole(0, 9) }, () => ({
    atMs: dice.whole(100, SPAN_MS),
    what: {
      kind: dice.pick(['cancel', 'cancel', 'requeue', 'promote', 'delete'] as const),
      serial: dice.pick(jobs).serial,
    },
  }));
}

/** Processes that shut down gracefully and start again. */
function restarts(dice: Dice, hosts: readonly unknown[]): Plan['incidents'] {
  return Array.from({ length: dice.whole(0, 2) }, () => ({
    atMs: dice.whole(500, SPAN_MS),
    what: { kind: 'restart', host: dice.whole(0, hosts.length - 1), backInMs: dice.whole(0, 500) },
  }));
}

function faults(dice: Dice, hosts: readonly unknown[], leaseMs: number): Plan['incidents'] {
  const anyFault = (): Incident => {
    const host = dice.whole(0, hosts.length - 1);
    const backInMs = dice.whole(0, 1_000);
    return dice.pick<Incident>([
      { kind: 'pause', host, ms: dice.whole(50, 3 * leaseMs) },
      { kind: 'outage', host, ms: dice.whole(50, 3 * leaseMs) },
      { kind: 'crash', host, backInMs },
      { kind: 'restart', host, backInMs },
      { kind: 'clock', ms: dice.whole(-2 * leaseMs, 2 * leaseMs) },
    ]);
  };
  return Array.from({ length: dice.whole(1, 8) }, () => ({ atMs: dice.whole(100, SPAN_MS), what: anyFault() }));
}
