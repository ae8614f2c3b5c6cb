import type { Apps } from '../apps.js';
import type { DatabaseKind } from '../database-kinds.js';

/** One option, and what would not happen if its value were ignored. */
export interface OptionCase {
  /** Its name, or that of a part of it such as `sqlite.synchronous`. */
  readonly option: string;
  /** Completes a sentence that begins with the name. */
  readonly effect: string;
  /** Where the option has a meaning. */
  readonly kinds: readonly DatabaseKind[];
  readonly expectEffect: (apps: Apps) => Promise<void>;
}

/** The names without their parts, each once, in order. */
export function optionsOf(cases: readonly OptionCase[]): string[] {
  return [...new Set(cases.map(({ option }) => option.split('.')[0]!))].sort();
}

/** The names that a refusal of an unknown option lists. */
export function namesKnownBy(give: (options: object) => unknown): string[] {
  try {
    give({ somethingElseEntirely: 1 });
  } catch (error) {
    const list = /known are (.*)$/.exec((error as Error).message)?.[1];
    if (list) {
      return list.split(', ').sort();
    }
    throw error;
  }
  throw new Error('expected an unknown option to be refused');
}
