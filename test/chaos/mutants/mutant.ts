import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../processes/support/built-package.js';
import type { Promised } from '../checker/violation.js';
import type { MemberSettings } from '../protocol.js';

export type Exports = Record<string, unknown>;

/** A build of the queue with one defect. */
export interface Mutant {
  readonly name: string;
  /** The defect. */
  readonly wrong: string;
  /** The promises it breaks. Breaking only others does not count. */
  readonly breaks: readonly Promised[];
  /** Breaks the built package, in the process that is about to use it. */
  readonly break: (settings: MemberSettings) => void;
}

/** Rewrites statements of the built store. @throws when a statement stays as it was: the mutant would be none. */
export function edit({ database }: MemberSettings, names: readonly string[], rewrite: (sql: string) => string): void {
  const files = listFiles(database.type === 'postgres' ? 'postgres' : 'sqlite');
  for (const name of names) {
    const statements = files.map(built).find((all) => name in all)!;
    const statement = statements[name];
    const edited =
      typeof statement === 'string'
        ? rewrite(statement)
        : Object.fromEntries(
            Object.entries(statement as Record<string, string>).map(([key, sql]) => [key, rewrite(sql)]),
          );
    if (JSON.stringify(edited) === JSON.stringify(statement)) {
      throw new Error(`the mutant changes nothing in ${name}`);
    }
    statements[name] = edited;
  }
}

const BUILT = join(ROOT, 'dist/cjs/lib');

/** Lists the files that contain the statements of a database. */
function listFiles(database: 'postgres' | 'sqlite'): string[] {
  return readdirSync(join(BUILT, 'store'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(`.${database}.js`))
    .map((file) => join('store', file));
}

/** Returns the exports of a built file. @param file its path below `lib/`. */
export function built(file: string): Exports {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the very module that the built store has loaded
  return require(join(BUILT, file)) as Exports;
}
