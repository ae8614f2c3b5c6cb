/*
 * telemetry/: spans and metrics of OpenTelemetry. In: enqueue calls, handler calls and events. Out: calls of `@opentelemetry/api`.
 * Read this file first, then tracing.ts and telemetry-metrics.ts; attributes.ts holds the names.
 */
import type { Claim } from '../../core/job.js';
import type { JobEvent } from '../../core/job-events.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { TelemetrySettings } from '../../core/telemetry-option.js';
import type { QueueGauges } from '../reports/queue-gauges.js';
import type { JobHook } from '../runtime/job-hook.js';
import { isEndEvent, toErrorType, toThrownType } from './attributes.js';
import { loadOpenTelemetry } from './optional-packages.cjs';
import { TelemetryMetrics } from './telemetry-metrics.js';
import type { AttemptSpan } from './tracing.js';
import { Tracing } from './tracing.js';

/** An attempt whose handler was called in this process, until its outcome is in the row. */
interface OpenAttempt {
  readonly span: AttemptSpan | undefined;
  thrownType: string | undefined;
}

/** Returns the hook that makes spans and records metrics. @throws InvalidOptionsError without the package `@opentelemetry/api`. */
export function createTelemetryHook(settings: TelemetrySettings, gauges: QueueGauges): JobHook {
  const api = loadOpenTelemetry();
  if (!api) {
    throw new InvalidOptionsError('telemetry', 'needs the package @opentelemetry/api; npm install @opentelemetry/api');
  }
  const tracing = settings.traces === false ? undefined : new Tracing(api, settings);
  const metrics = settings.metrics ? new TelemetryMetrics(api, settings, gauges) : undefined;
  const attempts = new OpenAttempts(tracing, metrics);
  const trace: JobHook['aroundEnqueue'] = tracing && ((call, store) => tracing.enqueue(call, store));
  const measure: JobHook['aroundEnqueue'] = metrics && ((call, store) => metrics.enqueue(call, store));
  const aroundEnqueue: JobHook['aroundEnqueue'] =
    trace && measure ? (call, store) => trace(call, () => measure(call, store)) : (trace ?? measure);
  return {
    ...(aroundEnqueue && { aroundEnqueue }),
    aroundHandler: (claims, run) => attempts.run(claims, run),
    onEvent: (event) => attempts.onEvent(event),
    onClose: () => metrics?.stop(),
  };
}

/** The attempts of this process that have started and not ended. A job has at most one. */
class OpenAttempts {
  private readonly byId = new Map<string, OpenAttempt>();

  constructor(
    private readonly tracing: Tracing | undefined,
    private readonly metrics: TelemetryMetrics | undefined,
  ) {}

  /** Runs a handler. A batch runs inside the span of its first job. */
  run(claims: readonly Claim[], run: () => Promise<unknown>): Promise<unknown> {
    const opened = claims.map((claim) => this.open(claim));
    const span = opened[0]?.span;
    const work = span ? this.tracing!.runInside(span, run) : run();
    work.catch((error: unknown) => {
      const thrownType = toThrownType(error);
      opened.forEach((attempt) => (attempt.thrownType = thrownType));
    });
    return work;
  }

  onEvent(event: JobEvent): void {
    this.metrics?.record(event);
    if (isEndEvent(event)) {
      const attempt = this.byId.get(event.id);
      const errorType = toErrorType(event, attempt?.thrownType);
      this.metrics?.recordEnd(event, errorType);
      this.byId.delete(event.id);
      if (attempt?.span) {
        this.tracing!.endAttempt(attempt.span, event, errorType);
      }
    }
  }

  private open(claim: Claim): OpenAttempt {
    const attempt: OpenAttempt = { span: this.tracing?.startAttempt(claim), thrownType: undefined };
    this.byId.set(claim.id, attempt);
    return attempt;
  }
}
