import { QueueUnavailableError } from '../../../lib/core/errors.js';
import type { Idempotency } from '../../../lib/core/job.js';
import { silentLogger } from '../../../lib/core/logger.js';
import type { Retention } from '../../../lib/core/retention.js';
import { Enqueuer } from '../../../lib/engine/enqueue/enqueuer.js';
import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import { UnhandledTopics } from '../../../lib/engine/topics/unhandled-topics.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import { WakeSignal } from '../../../lib/engine/runtime/wake-signal.js';
import type { InsertedJob, JobInsert } from '../../../lib/store/jobs/job-records.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { ONE_AT_A_TIME } from '../../../lib/store/job-store.js';
import { logParts } from '../../support/unit/log-parts.js';

const HOUR_MS = 3_600_000;
const KEPT: Retention = { completed: HOUR_MS, cancelled: HOUR_MS, failed: false };

const stored = ({ id }: JobInsert): InsertedJob => ({
  ...{ id, deduplicated: false, replaced: false, replayedBodyHash: null },
  ...{ runAt: new Date(), created: new Date() },
});

/** Enqueues a job through a database whose first response is lost. Returns how often the insert was sent. */
async function countInserts(
  retention: Retention,
  idempotency?: Idempotency,
  nextError?: QueueUnavailableError,
): Promise<number | 'uncertain'> {
  const insert = jest.fn((jobs: readonly JobInsert[]) => Promise.resolve(jobs.map(stored)));
  insert.mockRejectedValueOnce(new QueueUnavailableError('the database does not answer', { isUncertain: true }));
  if (nextError) insert.mockRejectedValueOnce(nextError);
  const store = { insert, capabilities: { inserts: ONE_AT_A_TIME } } as unknown as JobStore;
  const registry = new HandlerRegistry({ topics: undefined, canRunTransactions: true });
  registry.register('mail', () => null);
  const enqueuer = new Enqueuer({
    ...{ store, registry, retention, payloadBytesMax: 1_000, maxRetries: 3, strictTopics: false, codec: undefined },
    logger: silentLogger,
    clock: systemClock,
    wakeSignal: new WakeSignal({ announce: () => undefined }),
    emit: () => undefined,
    unhandledTopics: new UnhandledTopics({
      ...{ store, registry, role: 'all', ...logParts(systemClock), random: () => 0 },
    }),
  });
  const end = await enqueuer
    .enqueue('mail', null, undefined, idempotency)
    .catch((error: QueueUnavailableError) => error);
  return end instanceof QueueUnavailableError && end.isUncertain ? 'uncertain' : insert.mock.calls.length;
}

describe('an enqueue whose response was lost', () => {
  it('is sent again with the same id', async () => {
    expect(await countInserts(KEPT)).toBe(2);
  });

  it.each(['completed', 'cancelled', 'failed'])(
    'is uncertain when %s jobs are kept for less than a minute, since a second insert could run the job twice',
    async (status) => {
      expect(await countInserts({ ...KEPT, [status]: 0 })).toBe('uncertain');
      expect(await countInserts({ ...KEPT, [status]: 59_000 })).toBe('uncertain');
    },
  );

  it('stays uncertain when the second attempt certainly stored nothing', async () => {
    expect(await countInserts(KEPT, undefined, new QueueUnavailableError('the queue is closed'))).toBe('uncertain');
  });

  it('is sent again when the job has an idempotency key, which keeps it for a day', async () => {
    expect(await countInserts({ ...KEPT, completed: 0 }, { key: 'a', bodyHash: 'body' })).toBe(2);
  });
});
