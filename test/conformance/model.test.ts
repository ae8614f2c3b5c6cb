import fc from 'fast-check';
import { outcomes } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';
import { Cancel, Delete, Enqueue, Expire, Prune, Requeue, Rescue } from './model/desk-commands.js';
import { RealQueue, WORKERS } from './model/queue-command.js';
import { QueueModel } from './model/queue-model.js';
import { Claim, CompleteInTransaction, Renew, Settle } from './model/worker-commands.js';

const SEQUENCES = 100;
const COMMANDS_MAX = 60;
const HOUR_MS = 3_600_000;

const worker = fc.nat(WORKERS - 1);
const pick = fc.nat(50);
const delayMs = fc.constantFrom(0, 0, HOUR_MS);
const outcome = fc.oneof(
  fc.constant(outcomes.completed()),
  delayMs.map(outcomes.retry),
  fc.constant(outcomes.failed()),
  delayMs.map(outcomes.snooze),
  delayMs.map(outcomes.release),
);

const enqueue = fc
  .tuple(fc.constantFrom(null, 'a', 'b'), fc.nat(2), fc.nat(4))
  .map(([key, maxRetries, chance]) => new Enqueue(key, maxRetries, chance > 0));
const claim = fc.tuple(worker, fc.integer({ min: 1, max: 3 })).map(([who, limit]) => new Claim(who, limit));

/** Commands that keep jobs coming and moving stand here more than once. */
const commands = fc.commands(
  [
    enqueue,
    enqueue,
    claim,
    claim,
    claim,
    fc.tuple(worker, pick).map(([who, which]) => new Renew(who, which)),
    fc.tuple(worker, pick, outcome).map(([who, which, end]) => new Settle(who, which, end)),
    fc.tuple(worker, pick, outcome).map(([who, which, end]) => new Settle(who, which, end)),
    fc.tuple(worker, outcome).map(([who, end]) => new Settle(who, 'all', end)),
    fc.tuple(worker, pick, fc.boolean()).map(([who, which, commits]) => new CompleteInTransaction(who, which, commits)),
    pick.map((which) => new Expire(which)),
    pick.map((which) => new Expire(which)),
    fc.constant(new Rescue()),
    fc.constant(new Rescue()),
    fc.constant(new Prune()),
    pick.map((which) => new Requeue(which)),
    pick.map((which) => new Cancel(which)),
    pick.map((which) => new Delete(which)),
  ],
  { maxCommands: COMMANDS_MAX, size: 'max' },
);

describe.each(storeKinds())('the state machine on $label', (kind) => {
  const fixture = useStore(kind);

  // When it fails, fast-check says which seed, path and replayPath to hand to it here to see the same sequence again.
  it(`goes the way of the model through ${SEQUENCES} random sequences of three workers with stale claims`, async () => {
    const sequence = fc.asyncProperty(commands, async (steps) => {
      await fixture.sql('DELETE FROM _jobs');
      await fc.asyncModelRun(() => ({ model: new QueueModel(), real: new RealQueue(fixture) }), steps);
    });
    await fc.assert(sequence, { numRuns: SEQUENCES });
  }, 120_000);
});
