import type { Clock } from '../../lib/core/clock.js';
import { QueueUnavailableError } from '../../lib/core/errors.js';
import { Rescuer } from '../../lib/engine/maintain/rescuer.js';
import { Attempt } from '../../lib/engine/run/attempt.js';
import { JobRunner } from '../../lib/engine/run/job-runner.js';
import { StartMarker } from '../../lib/engine/run/start-marker.js';
import type { ClaimBuffer } from '../../lib/engine/run/claim-buffer.js';
import { ClaimCapacity } from '../../lib/engine/claim/claim-capacity.js';
import { Heartbeat } from '../../lib/engine/run/heartbeat.js';
import type { CompletionResult } from '../../lib/engine/run/attempt.js';
import { Completer } from '../../lib/engine/run/completer.js';
import { LaneScanner } from '../../lib/engine/claim/lane-scanner.js';
import { EngineLifecycle } from '../../lib/engine/lifecycle.js';
import type { JobInsert } from '../../lib/store/jobs/job-records.js';
import type { Promised } from './world/promise-checker.js';
import { SimulatedStore } from './world/simulated-store.js';
import { SimulatedTable } from './world/simulated-table.js';

/** An engine or a table with one defect. */
export interface Mutant {
  readonly title: string;
  /** The promises that it breaks. Breaking only others does not count. */
  readonly breaks: readonly Promised[];
  /** The first seed, for a defect that few worlds show. Default 1. */
  readonly from?: number;
  /** Adds the defect. Returns a function that removes it. */
  readonly break: () => () => void;
}

type Method = (...args: never[]) => unknown;

/** Replaces a method. The new one may call the original. */
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

/** Private members of the runner. */
interface Insides {
  readonly buffer: ClaimBuffer;
  readonly parts: { readonly clock: Clock };
  startOrRelease(attempt: Attempt, nowMs: number): void;
}

const heartbeatOf = (lifecycle: EngineLifecycle): Heartbeat =>
  (lifecycle as unknown as { parts: { heartbeat: Heartbeat } }).parts.heartbeat;

export const mutants: readonly Mutant[] = [
  {
    title: 'the completer drops an outcome after an error',
    breaks: ['outcome', 'lease'],
    break: () =>
      replace(
        Completer.prototype,
        'sendLater',
        () =>
          (_completer, { onDone }: { onDone: (result: CompletionResult) => void }) =>
            onDone('lease lost'),
      ),
  },
  {
    title: 'the heartbeat does not renew jobs that wait for a slot',
    breaks: ['lease'],
    from: 51,
    break: () =>
      replace(Heartbeat.prototype, 'track', (track) => (heartbeat, attempt: Attempt) => {
        track(heartbeat, attempt);
        queueMicrotask(() => attempt.hasStarted || heartbeat.untrack(attempt));
      }),
  },
  {
    title: 'the heartbeat stops when the shutdown starts',
    breaks: ['lease'],
    break: () =>
      replace(EngineLifecycle.prototype, 'stopAll', (stopAll) => async (lifecycle) => {
        void heartbeatOf(lifecycle).stop();
        await stopAll(lifecycle);
      }),
  },
  {
    title: 'the dispatcher claims one job too many of a topic',
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
    title: 'a claim does not count the jobs of claims in flight',
    breaks: ['slots'],
    from: 1_101,
    break: () => replace(ClaimCapacity.prototype, 'reserved', () => () => 0),
  },
  {
    title: 'a handler starts without a free slot',
    breaks: ['slots'],
    break: () =>
      replace(JobRunner.prototype, 'startNext', () => (attempts) => {
        const inner = attempts as unknown as Insides;
        inner.buffer.takeAll().forEach((attempt) => inner.startOrRelease(attempt, inner.parts.clock.now()));
      }),
  },
  {
    title: 'the dispatcher runs the jobs of a claim that ends after the shutdown started',
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
    title: 'the dispatcher scans only after notifications',
    breaks: ['pickup', 'stuck'],
    break: () =>
      replace(
        LaneScanner.prototype,
        'scanValidForMs',
        (scanValidForMs) => (scanner) => (Number(scanValidForMs(scanner)) > 0 ? 600_000 : 0),
      ),
  },
  {
    title: 'no process rescues jobs',
    breaks: ['stuck'],
    break: () => replace(Rescuer.prototype, 'start', () => () => undefined),
  },
  {
    title: 'the handler of a last attempt starts before the attempt is marked as started',
    breaks: ['unrun'],
    break: () => replace(StartMarker.prototype, 'mark', () => () => Promise.resolve(true)),
  },
  {
    title: 'a rescue fails attempts that never started',
    breaks: ['unrun'],
    break: () => replace(SimulatedTable.prototype, 'isUnstarted', () => () => false),
  },
  {
    title: 'a handler is not aborted when its lease is lost',
    breaks: ['abort'],
    break: () => replace(Attempt.prototype, 'loseLease', () => () => undefined),
  },
  {
    title: 'an event is emitted before its outcome is committed',
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
    title: 'enqueue resolves before the job is committed',
    breaks: ['lost'],
    break: () =>
      replace(SimulatedStore.prototype, 'insert', (insert) => (store, rows: readonly JobInsert[]) => {
        (insert(store, rows) as Promise<unknown>).catch(() => undefined);
        const now = new Date();
        const stored = { deduplicated: false, replaced: false, replayedBodyHash: null, runAt: now, created: now };
        return Promise.resolve(rows.map(({ id }) => ({ id, ...stored })));
      }),
  },
  {
    title: 'an insert is repeated although its job may have run and been deleted',
    breaks: ['double'],
    from: 821,
    break: () =>
      replace(SimulatedStore.prototype, 'insert', (insert) => async (store, rows: readonly JobInsert[]) => {
        try {
          return await insert(store, rows);
        } catch (error) {
          if (error instanceof QueueUnavailableError && error.isUncertain) {
            return insert(store, rows);
          }
          throw error;
        }
      }),
  },
  {
    title: 'a rescue takes jobs whose lease has not expired',
    breaks: ['lease'],
    break: () => replace(SimulatedTable.prototype, 'isExpired', () => () => true),
  },
  {
    title: 'the fence checks the job but not the attempt',
    breaks: ['fence'],
    break: () =>
      replace(SimulatedTable.prototype, 'owned', () => (table, { id }: { id: string }) => {
        const row = table.rows.get(id);
        return row?.status === 'processing' ? row : undefined;
      }),
  },
];
