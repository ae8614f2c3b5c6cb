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
  const folder = database.type === 'postgres' ? 'postgres' : 'sqlite';
  const kinds = [
    'claim',
    'insert',
    'lease',
    'maintenance',
    'admin',
    'complete',
    'schedule',
    'definition',
    'limited-claim',
    'group',
    'link',
  ];
  const files = kinds.map((kind) => `${folder}/sql/${kind}.js`);
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

export function built(file: string): Exports {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the very module that the built store has loaded
  return require(join(ROOT, 'dist/cjs/lib/store', file)) as Exports;
}
