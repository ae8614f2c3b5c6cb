import { randomUUID } from 'node:crypto';
import type { Claim, Outcome } from '../core/job.js';
import { encodePayload } from '../core/payload.js';
import type { RegisteredHandler } from '../engine/runtime/handler-registry.js';
import type { InnerParts } from '../engine/jobs-engine.js';
import { Attempt } from '../engine/run/attempt.js';
import { BatchCall } from '../engine/run/batch-call.js';
import { callHandler, Executor } from '../engine/run/executor.js';
import { unhandledTopic } from './pending-jobs.js';
import type { HandlerRun } from './run-options.js';

/** Calls the handler of a topic for a job that has no row. @see JobsTesting.run */
export async function runHandler(
  engine: InnerParts,
  topic: string,
  payload: unknown,
  { attempt, retries, maxRetries, metadata }: HandlerRun,
): Promise<unknown> {
  const { registry, store, clock, logger, payloadBytesMax } = engine;
  const handler = registry.get(topic);
  if (!handler) {
    throw unhandledTopic(topic, registry.topics());
  }
  const text = encodePayload(payload, payloadBytesMax);
  const { now } = await store.schedules.list('');
  const claim: Claim = {
    id: randomUUID(),
    topic,
    payload: JSON.parse(text) as unknown,
    attempt,
    retries: retries ?? attempt - 1,
    maxRetries: maxRetries ?? handler.settings.maxRetries ?? engine.maxRetries,
    priority: 0,
    timeoutMs: null,
    backoff: null,
    metadata,
    runAt: now,
    created: now,
    payloadLength: text.length,
    waitedMs: 0,
  };
  // There is no row to complete. The rest of the store is real, such as the transaction of a transactional handler.
  const rowless = Object.create(store, { completeTx: { value: () => Promise.resolve() } }) as typeof store;
  const ignored = { add: () => undefined };
  const stepWriter = { read: () => Promise.resolve([]), write: () => Promise.resolve() };
  const parts = { store: rowless, clock, logger, progressWriter: ignored, logWriter: ignored, stepWriter };
  const rowlessAttempt = new Attempt(claim, parts, clock.now(), Infinity);
  return handler.settings.batch ? callBatch(engine, rowlessAttempt, handler) : callHandler(rowlessAttempt, handler);
}

/** Calls a batch handler with one job. */
function callBatch(engine: InnerParts, attempt: Attempt, handler: RegisteredHandler): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onAttemptEnded = (_: Attempt, outcome: Outcome | null): void => {
      if (outcome?.kind === 'completed') {
        resolve(outcome.result === null ? undefined : JSON.parse(outcome.result));
      } else {
        reject(new Error(outcome && 'failure' in outcome ? outcome.failure.message : `the job was not completed`));
      }
    };
    const executor = new Executor({
      ...engine,
      decoder: undefined,
      onAttemptEnded,
      onHandlerReturned: () => undefined,
    });
    new BatchCall([attempt], handler, executor, () => undefined).start();
  });
}
