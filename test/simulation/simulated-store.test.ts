import fc from 'fast-check';
import { Job } from '../../lib/core/job.js';
import { anyCommands } from '../conformance/model/any-commands.js';
import { RealQueue } from '../conformance/model/queue-command.js';
import { QueueModel } from '../conformance/model/queue-model.js';
import type { StoreUnderTest } from '../conformance/model/store-under-test.js';
import { ROLLED_BACK } from '../conformance/model/store-under-test.js';
import { instantConnection, SimulatedStore } from './world/simulated-store.js';
import { SimulatedTable } from './world/simulated-table.js';

const SEQUENCES = 1_000;

function simulatedStore(): StoreUnderTest {
  const table = new SimulatedTable({ now: () => Date.now() });
  const store = new SimulatedStore(table, instantConnection);
  const row = (id: string): Job => table.rows.get(id)!;
  return {
    store,
    empty: async () => {
      table.rows.clear();
      table.paused.clear();
    },
    expire: async (id) => (row(id).lockedUntil = new Date(Date.now() - 1_000)),
    makeDue: async (id) => (row(id).runAt = new Date(Date.now() - 1)),
    completeInTransaction: async (token, commits) => {
      const before = Object.assign(new Job(), table.rows.get(token.id));
      await store.completeTx({}, token, null);
      if (!commits) {
        Object.assign(row(token.id), before);
        throw ROLLED_BACK;
      }
    },
  };
}

describe('the simulated store', () => {
  it('behaves like the model that the real stores are tested with', async () => {
    const sequence = fc.asyncProperty(anyCommands, (steps) =>
      fc.asyncModelRun(() => ({ model: new QueueModel(), real: new RealQueue(simulatedStore()) }), steps),
    );
    await fc.assert(sequence, { numRuns: SEQUENCES });
  });
});
