import type { Job } from '../../../client/index.js';

/** Another job, for a link to it. */
export interface LinkedLetter {
  readonly id: string;
  readonly topic: string;
}

/** The dead letters of the last failure of a job, from its metadata. */
export function readDeadLetters({ metadata }: Pick<Job, 'metadata'>): LinkedLetter[] {
  const letters = metadata?.$deadLetters;
  return Array.isArray(letters) ? letters.flatMap((letter) => toLink(letter) ?? []) : [];
}

/** The failed job that a dead letter is about, from its metadata. */
export function readFailedJob({ metadata }: Pick<Job, 'metadata'>): LinkedLetter | null {
  const { id, topics } = (metadata?.$failedJob ?? {}) as { id?: unknown; topics?: unknown };
  return toLink({ id, topic: Array.isArray(topics) ? (topics as unknown[]).at(-1) : undefined });
}

function toLink(value: unknown): LinkedLetter | null {
  const { id, topic } = (value ?? {}) as { id?: unknown; topic?: unknown };
  return typeof id === 'string' && typeof topic === 'string' ? { id, topic } : null;
}
