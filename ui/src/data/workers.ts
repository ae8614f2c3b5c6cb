import type { WorkerProcess } from '../../../client/index.js';

/**
 * - `live`: it runs jobs.
 * - `draining`: it shuts down. It starts no more jobs and waits for the running ones.
 * - `lost`: it has not been seen for a minute.
 */
export type WorkerState = 'live' | 'draining' | 'lost';

export function toWorkerState({ is_alive, is_draining }: WorkerProcess): WorkerState {
  if (!is_alive) return 'lost';
  return is_draining ? 'draining' : 'live';
}

/** A schema version, and how many processes that are not lost have it. */
export interface SchemaVersion {
  readonly name: string;
  readonly processes: number;
}

/** Oldest first. The name of a migration ends with its time. */
export function countSchemaVersions(workers: readonly WorkerProcess[]): SchemaVersion[] {
  const counts = new Map<string, number>();
  for (const { schema_version, is_alive } of workers) {
    if (is_alive) counts.set(schema_version, (counts.get(schema_version) ?? 0) + 1);
  }
  const time = (name: string): number => Number(/\d*$/.exec(name)?.[0]);
  return [...counts]
    .map(([name, processes]) => ({ name, processes }))
    .sort((one, other) => time(one.name) - time(other.name));
}
