import type { JobsOptions } from 'nestjs-jobs';
import type { Dice } from '../../chaos/dice.js';

/** How one run of a handler goes. */
export interface Act {
  readonly ms: number;
  readonly end: 'return' | 'throw' | 'unrecoverable' | 'snooze';
  /** Whether it minds its signal. */
  readonly isDeaf: boolean;
}

/** A job that somebody is going to enqueue. */
export interface PlannedJob {
  readonly serial: number;
  readonly topic: string;
  readonly atMs: number;
  readonly delayMs: number;
  readonly priority: number;
  readonly maxRetries: number;
  readonly uniqueKey: string | undefined;
  /** One for each run; the last one for all that follow. */
  readonly acts: readonly Act[];
}

/** Something that happens to the world at some moment. */
export type Incident =
  | { readonly kind: 'cancel' | 'requeue' | 'promote' | 'delete'; readonly serial: number }
  | { readonly kind: 'pause'; readonly host: number; readonly ms: number }
  | { readonly kind: 'outage'; readonly host: number; readonly ms: number }
  | { readonly kind: 'crash' | 'restart'; readonly host: number; readonly backInMs: number }
  | { readonly kind: 'clock'; readonly ms: number };

/** How often the line between processes and table misbehaves, as chances. */
export interface Climate {
  readonly refused: number;
  readonly answerLost: number;
  readonly slow: number;
  readonly hintLost: number;
  readonly locked: number;
  /** Of looks into the indexes. */
  readonly costly: number;
}

/** Everything about a world that is decided before it begins. */
export interface Plan {
  /** Nothing happens that may cost a lease: then none may be lost, and every outcome must arrive. */
  readonly isMild: boolean;
  readonly hosts: readonly JobsOptions[];
  /** How many jobs of a topic a process may run. */
  readonly topicLimits: Readonly<Record<string, number | undefined>>;
  readonly leaseMs: number;
  readonly pollMs: number;
  readonly shutdownMs: number;
  readonly isDiscarding: boolean;
  readonly climate: Climate;
  readonly jobs: readonly PlannedJob[];
  readonly incidents: readonly { readonly atMs: number; readonly what: Incident }[];
  /** From then on nothing bad happens any more. */
  readonly calmAtMs: number;
}

const SPAN_MS = 6_000;
export const TOPICS: readonly string[] = ['mail', 'sms', 'push'];
const MILD: Climate = { refused: 0.02, answerLost: 0.02, slow: 0, hintLost: 0.3, locked: 0.02, costly: 0.3 };
const ROUGH: Climate = { refused: 0.03, answerLost: 0.05, slow: 0.05, hintLost: 0.3, locked: 0.03, costly: 0.3 };

export function planOf(dice: Dice): Plan {
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
    climate: isMild ? MILD : ROUGH,
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
    acts: [
      ...Array.from({ length: dice.whole(0, 3) }, () => anyAct(dice, leaseMs)),
      { ...anyAct(dice, leaseMs), end: dice.pick(['return', 'return', 'throw']) },
    ],
  }));
}

function anyAct(dice: Dice, leaseMs: number): Act {
  const ms = dice.pick([
    0,
    dice.whole(1, 20),
    dice.whole(1, 20),
    dice.whole(20, leaseMs),
    dice.whole(leaseMs, 4 * leaseMs),
  ]);
  const end = dice.pick(['return', 'return', 'return', 'throw', 'throw', 'unrecoverable', 'snooze'] as const);
  return { ms, end, isDeaf: dice.chance(0.15) };
}

/** What people ask for. */
function requests(dice: Dice, jobs: readonly PlannedJob[]): Plan['incidents'] {
  return Array.from({ length: dice.whole(0, 9) }, () => ({
    atMs: dice.whole(100, SPAN_MS),
    what: {
      kind: dice.pick(['cancel', 'cancel', 'requeue', 'promote', 'delete'] as const),
      serial: dice.pick(jobs).serial,
    },
  }));
}

/** Processes that are stopped as they should be, and started again. */
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
