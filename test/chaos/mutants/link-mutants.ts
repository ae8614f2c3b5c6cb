import type { Exports, Mutant } from './mutant.js';
import { built, edit } from './mutant.js';

/** Between the end of a parent and the release of its children, as on a slow network. */
const BEFORE_RELEASE_MS = 300;

export const linkMutants: readonly Mutant[] = [
  {
    name: 'links counted without the lock',
    wrong: 'two parents that end at the same moment each count the link of the other one',
    breaks: ['stuck'],
    break: (settings) =>
      edit(settings, ['LOCK_CHILDREN'], (sql) =>
        sql.replace(' FOR NO KEY UPDATE', '').replace(/UPDATE _jobs j[^]*$/, 'SELECT id FROM c'),
      ),
  },
  {
    name: 'release after the commit',
    wrong: 'one transaction ends a parent, and another one releases its children',
    breaks: ['half done', 'stuck'],
    break: () => {
      const { LinkTable } = built('store/links/link-table.js') as { LinkTable: { prototype: Exports } };
      LinkTable.prototype.settleWatched = settleThenRelease;
    },
  },
  {
    name: 'callbacks at the end of each member',
    wrong: 'the end of a member ends its group',
    breaks: ['early'],
    break: (settings) => edit(settings, ['FINISH_GROUPS'], (sql) => sql.replace(/\n\s+AND NOT EXISTS \([^)]*\)/, '')),
  },
];

interface SettledRow {
  readonly applied: boolean;
  readonly status: string | null;
}

interface LinkTableParts {
  readonly options: {
    readonly statements: Readonly<Record<string, string>>;
    readonly transact: <T>(script: () => unknown) => Promise<T>;
  };
  report(changes: unknown): void;
}

interface LinkScripts {
  readonly settleWatchedScript: (
    statements: object,
    settlements: readonly unknown[],
    complete: null,
    linksMax: number,
  ) => unknown;
  readonly endParentsScript: (statements: object, ended: readonly object[]) => unknown;
}

async function settleThenRelease(
  this: LinkTableParts,
  settlements: readonly { readonly token: { readonly id: string } }[],
): Promise<readonly SettledRow[]> {
  const { settleWatchedScript, endParentsScript } = built('store/links/link-script.js') as unknown as LinkScripts;
  const { statements, transact } = this.options;
  const { settled } = await transact<{ settled: SettledRow[] }>(() =>
    settleWatchedScript(statements, settlements, null, 0),
  );
  const ended = settlements.flatMap(({ token: { id } }, index) => {
    const { applied, status } = settled[index]!;
    return applied && status !== 'pending' ? [{ id, status }] : [];
  });
  setTimeout(
    () => void transact(() => endParentsScript(statements, ended)).then((changes) => this.report(changes)),
    BEFORE_RELEASE_MS,
  );
  return settled;
}
