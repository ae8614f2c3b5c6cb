// Public names of `nestjs-jobs/telemetry`.
export { registerJobsMetrics } from './prometheus.js';
export type { MonitoredQueue, PrometheusRegistry } from './prometheus.js';
