import type { Check } from './option-checks.js';
import { either, flag, functionCheck, oneOf, option, optional, readOptions } from './option-checks.js';

/** Spans and metrics of OpenTelemetry. Needs the package `@opentelemetry/api`. */
export interface TelemetryOptions {
  /**
   * How the span of an attempt refers to that of its enqueue: by a link, or as its child in the same trace. `false` makes no spans.
   * Default `'link'`.
   */
  traces?: 'link' | 'parent' | false | undefined;
  /** Records metrics. Default `true`. */
  metrics?: boolean | undefined;
  /** Default: the global one of OpenTelemetry. */
  tracerProvider?: TracerProviderLike | undefined;
  /** Default: the global one of OpenTelemetry. */
  meterProvider?: MeterProviderLike | undefined;
  /** Writes the trace context into `metadata.$trace`, and reads it. Default: the global one of OpenTelemetry. */
  propagator?: PropagatorLike | undefined;
}

/** A `TracerProvider` of OpenTelemetry. */
interface TracerProviderLike {
  getTracer(name: string, version?: string): object;
}

/** A `MeterProvider` of OpenTelemetry. */
interface MeterProviderLike {
  getMeter(name: string, version?: string): object;
}

/** A `TextMapPropagator` of OpenTelemetry. */
interface PropagatorLike {
  inject(...args: never[]): void;
  extract(...args: never[]): object;
}

/** {@link TelemetryOptions}, checked. */
export interface TelemetrySettings {
  readonly traces: 'link' | 'parent' | false;
  readonly metrics: boolean;
  readonly tracerProvider: TracerProviderLike | undefined;
  readonly meterProvider: MeterProviderLike | undefined;
  readonly propagator: PropagatorLike | undefined;
}

/** The member of `metadata` that holds the trace context. */
export const TRACE_METADATA = '$trace';

/** An object with these methods. */
function objectWith<T extends object>(expects: string, ...methods: (keyof T & string)[]): Check<T> {
  const isMethod = functionCheck('');
  return {
    expects,
    parse: (value) =>
      typeof value === 'object' &&
      value !== null &&
      methods.every((name) => isMethod.parse((value as T)[name], name) !== undefined)
        ? (value as T)
        : undefined,
  };
}

const telemetryTable = {
  traces: option<TelemetrySettings['traces']>('link', either(false, oneOf('link', 'parent'))),
  metrics: option(true, flag),
  tracerProvider: optional(objectWith<TracerProviderLike>('a TracerProvider', 'getTracer')),
  meterProvider: optional(objectWith<MeterProviderLike>('a MeterProvider', 'getMeter')),
  propagator: optional(objectWith<PropagatorLike>('a TextMapPropagator', 'inject', 'extract')),
};

/** The option `telemetry`, unless it is `false`. */
export const telemetryCheck: Check<TelemetrySettings> = {
  expects: "an object such as { traces: 'link' }",
  parse: (value, path) =>
    typeof value === 'object' && value !== null ? Object.freeze(readOptions(telemetryTable, value, path)) : undefined,
};
