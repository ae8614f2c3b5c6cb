import type { ClaimLoop, ClaimSource } from '../../../lib/engine/claim/claim-loop.js';

/** The private members that are saved and compared, or that a mutant changes. */
export interface LoopInsides {
  idle: () => unknown;
  planPick: () => void;
  onClaimed: (...args: unknown[]) => void;
  longestUnserved: (wanting: ReadonlySet<ClaimSource>) => ClaimSource | undefined;
  topicClaims: number;
  hasJustScanned: boolean;
  hasClaimed: boolean;
}

export interface TopicInsides {
  heldUntilMs: number;
  claimedAtMs: number;
  isFull: boolean;
  news: { hasJobEnded: boolean; isHinted: boolean; hasNewJobs: boolean };
  emptyClaims: number;
  lanes: Map<number, { dueAtMs: number; version: number }>;
}

export function insides(loop: ClaimLoop): LoopInsides {
  return loop as unknown as LoopInsides;
}

const SHARED = new Set(['parts', 'world', 'working', 'topic', 'name']);

/** A copy of the members that change. */
export function copy(object: object): object {
  const copied: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(object) as [string, unknown][]) {
    if (value instanceof Map) {
      copied[name] = new Map([...value].map(([key, member]: [unknown, object]) => [key, { ...member }]));
    } else if (!SHARED.has(name) && typeof value !== 'function') {
      copied[name] = name === 'news' ? { ...(value as object) } : value;
    }
  }
  return copied;
}
