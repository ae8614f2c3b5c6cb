import type { Clock } from '../../lib/core/clock.js';
import { Rescuer } from '../../lib/engine/maintain/rescuer.js';
import { Attempt } from '../../lib/engine/run/attempt.js';
import { JobRunner } from '../../lib/engine/run/job-runner.js';
import { StartMarker } from '../../lib/engine/run/start-marker.js';
import type { ClaimBuffer } from '../../lib/engine/run/claim-buffer.js';
import { ClaimCapacity } from '../../lib/engine/claim/claim-capacity.js';
import { Enqueuer } from '../../lib/engine/enqueue/enqueuer.js';
import { Heartbeat } from '../../lib/engine/run/heartbeat.js';
import { Completer } from '../../lib/engine/run/completer.js';
import { LaneScanner } from '../../lib/engine/claim/lane-scanner.js';
import type { SettleAnswer } from '../../lib/engine/run/verdict.js';
import { EngineLifecycle } from '../../lib/engine/lifecycle.js';
import type { JobInsert } from '../../lib/store/store-records.js';
import type { Promised } from './world/judge.js';
import { SimulatedTable } from './world/simulated-table.js';

/** An engine, or a table, with one thing wrong in it. */
export interface Mutant {
  readonly wrong: string;
  /** The promises it breaks; to break another is not to be found out. */
  readonly breaks: readonly Promised[];
  /** The world to begin with, for one that few worlds show. Default 1. */
  readonly from?: number;
  /** Breaks it; answers what mends it again. */
  readonly break: () => () => void;
}

type Method = (...args: never[]) => unknown;

/** Puts another method in the place of one, which may call it. */
function replace<This extends object>(
  prototype: This,
  name: string,
  make: (original: (self: This, ...args: unknown[]) => unknown) => (self: This, ...args: never[]) => unknown,
): () => void {
  const methods = prototype as Record<string, Method>;
  const original = methods[name]!;
  const broken = make((self, ...args) => original.apply(self, args as never[]));
  methods[name] = function (this: This, ...args: never[]) {
    return broken(this, ...args);
  };
  return () => (methods[name] = original);
}

/** What of the attempts of a process is nobody else's. */
interface Insides {
  readonly buffer: ClaimBuffer;
  readonly options: { readonly clock: Clock };
  start(attempt: Attempt, nowMs: number): void;
}

const heartbeatOf = (lifecycle: EngineLifecycle): Heartbeat =>
  (lifecycle as unknown as { options: { heartbeat: Heartbeat } }).options.heartbeat;

export const mutants: readonly Mutant[] = [
  {
    wrong: 'the settler drops an outcome after an error',
    breaks: ['outcome', 'lease'],
    break: () =>
      replace(Completer.prototype, 'askLater', () => (_settler, { done }: { done: (answer: SettleAnswer) => void }) => {
        done('lease lost');
      }),
  },
  {
    wrong: 'the heartbeat forgets jobs that had to wait for a slot',
    breaks: ['lease'],
    from: 51,
    break: () =>
      replace(Heartbeat.prototype, 'track', (track) => (heartbeat, attempt: Attempt) => {
        track(heartbeat, attempt);
        queueMicrotask(() => attempt.hasBegun || heartbeat.untrack(attempt));
      }),
  },
  {
    wrong: 'the heartbeat ends when the process is told to stop',
    breaks: ['lease'],
    break: () =>
      replace(EngineLifecycle.prototype, 'stopAll', (stopAll) => async (lifecycle) => {
        void heartbeatOf(lifecycle).stop();
        await stopAll(lifecycle);
      }),
  },
  {
    wrong: 'the dispatcher claims one job of a topic too many',
    breaks: ['slots'],
    break: () =>
      replace(
        ClaimCapacity.prototype,
        'topics',
        (topics) => (claimRoom, limit: number) =>
          (topics(claimRoom, limit) as { available: number }[]).map((each) => ({
            ...each,
            available: each.available + 1,
          })),
      ),
  },
  {
    wrong: 'what a claim under way may bring is not counted by the next one',
    breaks: ['slots'],
    from: 1_101,
    break: () => replace(ClaimCapacity.prototype, 'reserved', () => () => 0),
  },
  {
    wrong: 'a handler begins whether a slot is free or not',
    breaks: ['slots'],
    break: () =>
      replace(JobRunner.prototype, 'startNext', () => (attempts) => {
        const inner = attempts as unknown as Insides;
        inner.buffer.takeAll().forEach((attempt) => inner.start(attempt, inner.options.clock.now()));
      }),
  },
  {
    wrong: 'the dispatcher goes on with a claim that is under way when it is told to stop',
    breaks: ['shutdown'],
    break: () =>
      replace(
        JobRunner.prototype,
        'release',
        () => (attempts, claim: never, claimedAtMs: never, leaseEndsMs: never) =>
          attempts.accept(claim, claimedAtMs, leaseEndsMs),
      ),
  },
  {
    wrong: 'the dispatcher trusts in hints and looks for nothing without',
    breaks: ['pickup', 'stuck'],
    break: () =>
      replace(
        LaneScanner.prototype,
        'knownForMs',
        (knownForMs) => (scanner) => (Number(knownForMs(scanner)) > 0 ? 600_000 : 0),
      ),
  },
  {
    wrong: 'nobody rescues',
    breaks: ['stuck'],
    break: () => replace(Rescuer.prototype, 'start', () => () => undefined),
  },
  {
    wrong: 'a handler is called at its last chance before the table knows that it begins',
    breaks: ['unrun'],
    break: () =>
      replace(StartMarker.prototype, 'note', () => (beginnings, attempt: Attempt) => {
        (beginnings as unknown as { decide(attempt: Attempt): void }).decide(attempt);
      }),
  },
  {
    wrong: 'a rescue takes what never began for failed',
    breaks: ['unrun'],
    break: () => replace(SimulatedTable.prototype, 'isUnbegun', () => () => false),
  },
  {
    wrong: 'a handler is not told that its lease is lost',
    breaks: ['told'],
    break: () => replace(Attempt.prototype, 'loseLease', () => () => undefined),
  },
  {
    wrong: 'an outcome is told before it is committed',
    breaks: ['event'],
    break: () =>
      replace(Completer.prototype, 'settle', (settle) => (settler, ...args: Parameters<Completer['settle']>) => {
        const [attempt, outcome, durationMs, done] = args;
        settle(settler, attempt, outcome, durationMs, () => undefined);
        const status = outcome.kind === 'completed' ? 'completed' : 'pending';
        done({ applied: true, status, attempt: attempt.claim.attempt, retries: 0, runAt: null });
      }),
  },
  {
    wrong: 'an enqueue is acknowledged before it is committed',
    breaks: ['lost'],
    break: () =>
      replace(Enqueuer.prototype, 'insert', (insert) => (enqueuer, rows: readonly JobInsert[]) => {
        (insert(enqueuer, rows) as Promise<unknown>).catch(() => undefined);
        const now = new Date();
        return rows.map(({ id }) => ({ id, deduplicated: false, replayOf: null, runAt: now, created: now }));
      }),
  },
  {
    wrong: 'an enqueue is repeated though its job may have run and be gone',
    breaks: ['double'],
    from: 701,
    break: () => replace(Enqueuer.prototype, 'isRepeatable', () => () => true),
  },
  {
    wrong: 'a rescue takes jobs whose lease has not ended',
    breaks: ['lease'],
    break: () => replace(SimulatedTable.prototype, 'isExpired', () => () => true),
  },
  {
    wrong: 'the fence asks for the job and not for the attempt',
    breaks: ['fence'],
    break: () =>
      replace(SimulatedTable.prototype, 'owned', () => (table, { id }: { id: string }) => {
        const row = table.rows.get(id);
        return row?.status === 'processing' ? row : undefined;
      }),
  },
];
