import type { JobsSettings } from '../../core/options.js';
import type { QueueGauges } from '../reports/queue-gauges.js';
import { createContextHook } from './context-hook.js';
import type { JobHook } from '../runtime/job-hook.js';
import { createTelemetryHook } from './telemetry-hook.js';

/** Returns the code around enqueues and handlers that the options need: none by default. */
export function createHook(
  { context, telemetry }: Pick<JobsSettings, 'context' | 'telemetry'>,
  gauges: QueueGauges,
): JobHook {
  const inner = context ? createContextHook(context) : {};
  return telemetry ? joinHooks(createTelemetryHook(telemetry, gauges), inner) : inner;
}

/** Joins two hooks. The first one is outside, and the only one that receives events. */
function joinHooks(outer: JobHook, inner: JobHook): JobHook {
  const enqueue = joinTwo(outer.aroundEnqueue, inner.aroundEnqueue);
  const handle = joinTwo(outer.aroundHandler, inner.aroundHandler);
  return { ...outer, ...(enqueue && { aroundEnqueue: enqueue }), ...(handle && { aroundHandler: handle }) };
}

type Around<Subject, Result> = (subject: Subject, work: () => Result) => Result;

function joinTwo<Subject, Result>(
  outer: Around<Subject, Result> | undefined,
  inner: Around<Subject, Result> | undefined,
): Around<Subject, Result> | undefined {
  return outer && inner ? (subject, work) => outer(subject, () => inner(subject, work)) : (outer ?? inner);
}
