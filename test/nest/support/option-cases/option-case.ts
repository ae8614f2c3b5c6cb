import type { Apps } from '../apps.js';
import type { DatabaseKind } from '../database-kinds.js';

/** One option and a check that fails if its value is ignored. */
export interface OptionCase {
  /** Its name, or the path of a nested option such as `sqlite.synchronous`. */
  readonly option: string;
  /** Completes a sentence that begins with the option. */
  readonly effect: string;
  /** The databases that support the option. */
  readonly kinds: readonly DatabaseKind[];
  readonly expectEffect: (apps: Apps) => Promise<void>;
}

/** Returns the sorted names of the top-level options, without duplicates. */
export function listOptions(cases: readonly OptionCase[]): string[] {
  return [...new Set(cases.map(({ option }) => option.split('.')[0]!))].sort();
}

/** Returns the option names that the error for an unknown option lists. */
export function readKnownNames(parse: (options: object) => unknown): string[] {
  try {
    parse({ somethingElseEntirely: 1 });
  } catch (error) {
    const list = /known are (.*)$/.exec((error as Error).message)?.[1];
    if (list) {
      return list.split(', ').sort();
    }
    throw error;
  }
  throw new Error('expected an unknown option to be refused');
}
