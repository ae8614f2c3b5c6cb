import type { ChangeFeed } from './changes/change-feed.js';
import type { JobWaiter } from './changes/job-waiter.js';
import type { EngineParts } from './runtime/engine-parts.js';
import type { EventStream } from './runtime/event-stream.js';
import type { MetricsRecorder } from './reports/metrics-recorder.js';
import { logOperation } from './runtime/operation-log.js';

type EventReceivers = Pick<EngineParts, 'logger' | 'operationLog' | 'hook'> & {
  readonly metrics: MetricsRecorder;
  readonly changes: ChangeFeed;
  readonly stream: EventStream;
  readonly waiter: JobWaiter;
};

/** Returns the function that passes an event to all parts that receive events. */
export function createEmit(receivers: EventReceivers): EngineParts['emit'] {
  const { metrics, changes, hook, stream, waiter } = receivers;
  return (event) => {
    logOperation(receivers, event);
    metrics.record(event);
    changes.markChanged(event.topic);
    hook.onEvent?.(event);
    stream.emit(event);
    waiter.recordEvent(event);
  };
}
