import fc from 'fast-check';
import { FINAL_STATUSES } from '../../../lib/core/job-state.js';
import { outcomes } from '../../support/job-rows.js';
import { BecomeDue, Enqueue, EnqueueAgain, Expire, Move, Pause, Prune, Rescue } from './admin-commands.js';
import type { RealQueue } from './queue-command.js';
import { WORKERS } from './queue-command.js';
import type { QueueModel } from './queue-model.js';
import { MarkStarted, Claim, CompleteInTransaction, Renew, Report, Settle } from './worker-commands.js';

const COMMANDS_MAX = 80;
const HOUR_MS = 3_600_000;

const worker = fc.nat(WORKERS - 1);
const pick = fc.nat(50);
const delayMs = fc.constantFrom(0, 0, HOUR_MS);
const outcome = fc.oneof(
  { weight: 2, arbitrary: fc.constant(outcomes.completed()) },
  { weight: 2, arbitrary: delayMs.map(outcomes.retry) },
  fc.constant(outcomes.failed()),
  delayMs.map(outcomes.snooze),
  fc.option(delayMs).map(outcomes.release),
  fc.constant(outcomes.cancelled()),
);
/** Keeps all jobs most of the time. */
const discardStatuses = fc.oneof(fc.constant([]), fc.subarray([...FINAL_STATUSES]));
const age = fc.constantFrom(0, HOUR_MS, false as const);
const retention = fc.record({ completed: age, failed: age, cancelled: age });

const enqueue = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.constantFrom(null, null, 'a', 'b'), fc.boolean(), fc.nat(2), fc.nat(4))
  .map(
    ([count, key, isUntilStarted, maxRetries, chance]) =>
      new Enqueue(count, key, isUntilStarted, maxRetries, chance > 0),
  );
const claim = fc.tuple(worker, fc.integer({ min: 1, max: 4 })).map(([who, limit]) => new Claim(who, limit));
const settle = fc
  .tuple(worker, pick, outcome, discardStatuses)
  .map(([who, which, end, gone]) => new Settle(who, which, end, gone));
const settleAll = fc
  .tuple(worker, outcome, discardStatuses)
  .map(([who, end, gone]) => new Settle(who, 'all', end, gone));
const completeInTransaction = fc
  .tuple(worker, pick, fc.boolean())
  .map(([who, which, commits]) => new CompleteInTransaction(who, which, commits));
const picks = fc.oneof(
  fc.array(pick, { minLength: 2, maxLength: 4 }),
  fc.constantFrom('oldest first' as const, 'newest first' as const),
);
const verb = fc.constantFrom('requeue' as const, 'promote' as const, 'cancel' as const, 'delete' as const);

/** Sequences of commands of three workers and administrators. Frequent commands are listed more than once. */
export const anyCommands: fc.Arbitrary<Iterable<fc.AsyncCommand<QueueModel, RealQueue>>> = fc.commands(
  [
    enqueue,
    enqueue,
    enqueue,
    pick.map((which) => new EnqueueAgain(which)),
    claim,
    claim,
    claim,
    fc.tuple(worker, pick).map(([who, which]) => new MarkStarted(who, which)),
    fc.tuple(worker, pick).map(([who, which]) => new MarkStarted(who, which)),
    fc.tuple(worker, pick).map(([who, which]) => new Renew(who, which)),
    worker.map((who) => new Report(who)),
    settle,
    settle,
    settleAll,
    completeInTransaction,
    pick.map((which) => new Expire(which)),
    pick.map((which) => new Expire(which)),
    pick.map((which) => new BecomeDue(which)),
    fc.constant(new Pause(true)),
    fc.constant(new Pause(false)),
    fc.constant(new Pause(false)),
    fc.constant(new Rescue()),
    fc.constant(new Rescue()),
    retention.map((ages) => new Prune(ages)),
    fc.tuple(verb, pick).map(([move, which]) => new Move(move, [which])),
    fc.tuple(verb, pick).map(([move, which]) => new Move(move, [which])),
    fc.tuple(verb, picks).map(([move, which]) => new Move(move, which)),
  ],
  { maxCommands: COMMANDS_MAX, size: 'max' },
);
