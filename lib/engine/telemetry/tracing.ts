import type * as OpenTelemetry from '@opentelemetry/api';
import type { Context, Span, SpanOptions, TextMapPropagator, Tracer } from '@opentelemetry/api';
import type { Claim, Job } from '../../core/job.js';
import type { TelemetrySettings } from '../../core/telemetry-option.js';
import { TRACE_METADATA } from '../../core/telemetry-option.js';
import { isStorableText } from '../../core/text.js';
import { VERSION } from '../../core/version.js';
import { monotonicMs } from '../../store/runtime/real-timers.js';
import type { EnqueueCall } from '../runtime/job-hook.js';
import type { EndEvent } from './attributes.js';
import * as names from './attributes.js';

/** Longest trace context in characters. A longer one is stored without its baggage and its state. */
const TRACE_LENGTH_MAX = 4_096;

/** The span of one attempt. */
export interface AttemptSpan {
  readonly span: Span;
  readonly context: Context;
  readonly startMs: number;
}

/** Makes a span for each call that enqueues, and for each attempt. `metadata.$trace` connects the two. */
export class Tracing {
  private readonly tracer: Tracer;
  private readonly propagator: Pick<TextMapPropagator, 'inject' | 'extract'>;
  private readonly enqueueAttributes = new names.TopicAttributes(names.ENQUEUE);
  private readonly processAttributes = new names.TopicAttributes(names.PROCESS);

  constructor(
    private readonly api: typeof OpenTelemetry,
    private readonly settings: Pick<TelemetrySettings, 'traces' | 'tracerProvider' | 'propagator'>,
  ) {
    const provider = settings.tracerProvider ?? api.trace;
    this.tracer = provider.getTracer('nestjs-jobs', VERSION) as Tracer;
    this.propagator = (settings.propagator as TextMapPropagator | undefined) ?? api.propagation;
  }

  /** Runs `store` inside the span of the call. */
  async enqueue(call: EnqueueCall, store: () => Promise<readonly Job[]>): Promise<readonly Job[]> {
    const { api } = this;
    const topic = names.toCommonTopic(call.topics);
    const span = this.tracer.startSpan(topic === undefined ? 'enqueue' : `enqueue ${topic}`, {
      kind: api.SpanKind.PRODUCER,
      attributes: topic === undefined ? names.ENQUEUE : this.enqueueAttributes.get(topic),
    });
    if (call.topics.length !== 1) {
      span.setAttribute(names.BATCH_COUNT, call.topics.length);
    }
    const context = api.trace.setSpan(api.context.active(), span);
    this.inject(context, call);
    try {
      const jobs = await api.context.with(context, store);
      if (jobs.length === 1) {
        span.setAttribute(names.MESSAGE_ID, jobs[0]!.id);
      }
      return jobs;
    } catch (error) {
      this.recordError(span, error, names.toThrownType(error));
      throw error;
    } finally {
      span.end();
    }
  }

  /** Starts the span of an attempt. */
  startAttempt({ id, topic, attempt, retries, metadata }: Claim): AttemptSpan {
    const { api } = this;
    const caller = this.extract(metadata);
    const creation = api.trace.getSpanContext(caller);
    const startMs = monotonicMs();
    const options: SpanOptions = {
      kind: api.SpanKind.CONSUMER,
      startTime: startMs,
      root: this.settings.traces === 'link',
      attributes: this.processAttributes.get(topic),
    };
    if (creation) {
      options.links = [{ context: creation }];
    }
    const span = this.tracer.startSpan(`process ${topic}`, options, caller);
    if (span.isRecording()) {
      span.setAttribute(names.MESSAGE_ID, id);
      span.setAttribute(names.ATTEMPT, attempt);
      span.setAttribute(names.RETRIES, retries);
    }
    return { span, context: api.trace.setSpan(caller, span), startMs };
  }

  /** Runs code inside the span. */
  runInside<T>({ context }: AttemptSpan, run: () => T): T {
    return this.api.context.with(context, run);
  }

  /** Ends the span when the outcome is in the row. It covers the time of the handler only. */
  endAttempt({ span, startMs }: AttemptSpan, event: EndEvent, errorType: string | undefined): void {
    span.setAttribute(names.OUTCOME, event.type);
    if (errorType !== undefined) {
      const error = 'error' in event ? event.error : { message: 'the lease was lost' };
      this.recordError(span, error, errorType);
    }
    span.end(startMs + event.durationMs);
  }

  private recordError(span: Span, error: unknown, errorType: string): void {
    if (!span.isRecording()) {
      return;
    }
    const { message, stack } = error as { message?: unknown; stack?: unknown };
    const text = typeof message === 'string' ? message : String(error);
    span.setAttribute(names.ERROR_TYPE, errorType);
    span.recordException({ name: errorType, message: text, ...(typeof stack === 'string' && { stack }) });
    span.setStatus({ code: this.api.SpanStatusCode.ERROR, message: text });
  }

  private inject(context: Context, call: EnqueueCall): void {
    const carrier: Record<string, string> = {};
    this.propagator.inject(context, carrier, this.api.defaultTextMapSetter);
    const json = toTraceJson(carrier);
    if (json !== undefined) {
      call.members.set(TRACE_METADATA, json);
    }
  }

  private extract(metadata: Claim['metadata']): Context {
    const carrier = metadata?.[TRACE_METADATA];
    return typeof carrier === 'object' && carrier !== null
      ? this.propagator.extract(this.api.ROOT_CONTEXT, carrier, this.api.defaultTextMapGetter)
      : this.api.ROOT_CONTEXT;
  }
}

/** Returns `undefined` when there is no trace. Baggage comes from other services: it must not make an enqueue fail. */
function toTraceJson(carrier: Record<string, string>): string | undefined {
  const { traceparent } = carrier;
  const complete = toStorableJson(carrier);
  return complete ?? (traceparent === undefined ? undefined : toStorableJson({ traceparent }));
}

function toStorableJson(carrier: Record<string, string>): string | undefined {
  const values = Object.values(carrier);
  const isStorable = values.length > 0 && values.every((value) => typeof value === 'string' && isStorableText(value));
  const json = isStorable ? JSON.stringify(carrier) : undefined;
  return json !== undefined && json.length <= TRACE_LENGTH_MAX ? json : undefined;
}
