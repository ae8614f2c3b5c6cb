import fc from 'fast-check';
import { storeKinds, useStore } from '../support/stores.js';
import { anyCommands } from './model/any-commands.js';
import { RealQueue } from './model/queue-command.js';
import { QueueModel } from './model/queue-model.js';
import { realStore } from './model/store-under-test.js';

const SEQUENCES = Number(process.env.JOBS_MODEL_SEQUENCES ?? 300);
/** One for all databases: they walk through the same sequences, and must give the answers of the same model. */
const SEED = Number(process.env.JOBS_MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** On a machine that is busy with other work. */
const SEQUENCE_MAX_MS = 2_000;

describe.each(storeKinds())('the state machine on $label', (kind) => {
  const fixture = useStore(kind);
  /** With other versions and drivers a few are enough to find another answer. */
  const numRuns = kind.isMain ? SEQUENCES : Math.ceil(SEQUENCES / 5);

  it(
    `goes the way of the model through ${numRuns} sequences of three workers with stale claims, from seed ${SEED}`,
    async () => {
      const sequence = fc.asyncProperty(anyCommands, async (steps) => {
        const behind = realStore(fixture);
        await behind.empty();
        await fc.asyncModelRun(() => ({ model: new QueueModel(), real: new RealQueue(behind) }), steps);
      });
      await fc.assert(sequence, { numRuns, seed: SEED });
    },
    numRuns * SEQUENCE_MAX_MS,
  );
});
