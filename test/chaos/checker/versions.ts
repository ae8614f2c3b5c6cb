import type { Evidence, VersionSample } from '../cluster/evidence.js';
import type { Violation } from './violation.js';

/** A process has declared what its version declares when it has been ready for so long. */
export const SETTLED_MS = 5_000;
/** How long after the end of the last process of a version its definitions may apply. */
export const APPLIED_WITHIN_MS = 20_000;
/** A busy machine delays the processes and the samples. */
const TOLERANCE_MS = 5_000;

/**
 * Versions have numbers in the order in which they were deployed first. Each definition that applies is of the newest version that a settled
 * process has. It may be of a newer one that a process had lately, or that a process has just started with.
 */
export function checkVersions({ versionSamples }: Evidence): Violation[] {
  return versionSamples.flatMap((sample) => {
    const settled = sample.processes.filter(({ readyMs, goneMs }) => readyMs >= SETTLED_MS && goneMs === null);
    const newest = Math.max(0, ...settled.map(({ version }) => version));
    return newest === 0 ? [] : checkSample(sample, newest);
  });
}

function checkSample({ applied, processes }: VersionSample, newest: number): Violation[] {
  const recent = processes.filter(({ goneMs }) => (goneMs ?? 0) <= APPLIED_WITHIN_MS + TOLERANCE_MS);
  const allowed = new Set([newest, ...recent.map(({ version }) => version).filter((version) => version > newest)]);
  return Object.entries(applied).flatMap(([kind, version]): Violation[] =>
    version !== null && allowed.has(version)
      ? []
      : [
          {
            promise: 'version',
            detail: `the ${kind} of version ${version} applied, not of ${[...allowed].join(' or ')}`,
          },
        ],
  );
}
