import { createHash } from 'node:crypto';

/* The rows and results of `DefinitionStore` in job-store.ts. */

/** What the code of a process declares for a topic. `dead_letters`: which topics receive them. */
export type TopicDefinitionKind = 'limits' | 'retention' | 'dead_letters';
export type DefinitionKind = TopicDefinitionKind | 'schedule';

/** Names a definition: versions of an application may declare different ones for the same kind and name. */
export interface DefinitionRef {
  readonly kind: DefinitionKind;
  /** Topic, or name of a schedule. */
  readonly name: string;
  readonly hash: string;
}

/** What a process declares. */
export interface Definition extends DefinitionRef {
  /** JSON text. Equal definitions have the same text. */
  readonly json: string;
}

/** A schedule that the code declares, and whose row has another definition or is missing. */
export interface PendingSchedule {
  readonly name: string;
  /** JSON text of the definition that applies. */
  readonly json: string;
}

/** What the table says about the definitions of a process, and about those that apply. */
export interface DefinitionState {
  /** How many of the given definitions exist. */
  readonly known: number;
  /** Those of the given names whose given definition does not apply; at most 100. */
  readonly superseded: readonly Pick<DefinitionRef, 'kind' | 'name'>[];
  /** Whether the definition of any topic that applies is not the one in the row of the topic. */
  readonly areTopicsDue: boolean;
  /** The same for schedules. */
  readonly areSchedulesDue: boolean;
  /** Whether a definition is older than `DEFINITION_AGE_MS`. */
  readonly isPruneDue: boolean;
}

/** How often a process records that it lives, while any process declares something. */
export const DECLARE_INTERVAL_MS = 4_000;
/** A process does not record a definition again that any process has declared this recently. */
export const DECLARED_RECENTLY_MS = 2_000;
/**
 * A definition counts as live for this long after a process has declared it. With the interval of the others, the end of a definition
 * applies within 20 s. A process that has just started lets the others declare for as long.
 */
export const DEFINITION_LIVE_MS = 14_000;
/**
 * A definition without a live process ends only if a process handles the topic that was seen this recently. The process that declared it
 * may be dead and still be listed: it was seen at most `DECLARED_RECENTLY_MS` after its last declaration, which is longer ago.
 */
export const HANDLER_SEEN_MS = 10_000;
/** Clocks of servers that take over from one another differ. */
export const CLOCK_AHEAD_MS = 1_000;
/** How long a definition is kept after a process has last declared it. */
export const DEFINITION_AGE_MS = 30 * 86_400_000;
/** How many definitions that no live process declares are kept of one kind and name. */
export const DEAD_DEFINITIONS_MAX = 20;

/** @param value JSON. Members that are `null` do not change the hash: a later version of this package may add some. */
export function toDefinition(kind: DefinitionKind, name: string, value: unknown): Definition {
  const hash = createHash('sha256').update(toSortedJson(value, true)).digest('base64url').slice(0, 22);
  return { kind, name, hash, json: toSortedJson(value) };
}

/** Returns JSON text that does not depend on the order of members. */
export function toSortedJson(value: unknown, skipsNull = false): string {
  return JSON.stringify(value, (_, member: unknown) => (isObject(member) ? sortMembers(member, skipsNull) : member));
}

function sortMembers(object: object, skipsNull: boolean): object {
  const members = Object.entries(object).filter(([, value]) => value !== null || !skipsNull);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
