/** @slow */

import fc from 'fast-check';
import { storeKinds, useStore } from '../support/stores.js';
import { isMatrix } from '../support/tier.js';
import { anyCommands } from './model/any-commands.js';
import { RealQueue } from './model/queue-command.js';
import { QueueModel } from './model/queue-model.js';
import { realStore } from './model/store-under-test.js';

const SEQUENCES = Number(process.env.JOBS_MODEL_SEQUENCES ?? (isMatrix ? 300 : 40));
/** The same seed for all databases: they run the same sequences and must match the same model. */
const SEED = Number(process.env.JOBS_MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** For a busy machine. */
const SEQUENCE_MAX_MS = 5_000;

describe.each(storeKinds())('the state machine on $label', (kind) => {
  const fixture = useStore(kind);
  /** Other versions and drivers need only a few sequences. */
  const numRuns = kind.isMain ? SEQUENCES : Math.ceil(SEQUENCES / 5);

  it(
    `matches the model in ${numRuns} sequences of commands by three workers with stale claims, seed ${SEED}`,
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
