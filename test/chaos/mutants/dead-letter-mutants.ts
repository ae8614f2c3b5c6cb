import type { Exports, Mutant } from './mutant.js';
import { built } from './mutant.js';

/** Between the end of a job and the insert of its dead letter, as on a slow network. */
const BEFORE_INSERT_MS = 300;

export const deadLetterMutants: readonly Mutant[] = [
  {
    name: 'dead letters after the commit',
    wrong: 'one transaction fails a job, and another one inserts its dead letter',
    breaks: ['lost', 'half done'],
    break: () => {
      const { LinkTable } = built('store/links/link-table.js') as unknown as {
        LinkTable: { prototype: LinkTablePrototype };
      };
      const { settleWatched, endBy } = LinkTable.prototype;
      Object.assign(LinkTable.prototype, { settleWatched: late(settleWatched), endBy: late(endBy) });
    },
  },
];

type Method = (this: LinkTableParts, work: unknown) => Promise<unknown>;
type LinkTablePrototype = Exports & { readonly settleWatched: Method; readonly endBy: Method };

interface LinkTableParts {
  readonly options: {
    readonly statements: Readonly<Record<string, string>>;
    readonly transact: <T>(script: () => unknown) => Promise<T>;
  };
}

/** The rows that a statement has written. */
type Rows = readonly { readonly id: string; readonly status: string }[];

/** The method, with a script of dead letters that runs later, in a transaction of its own. */
function late(method: Method): Method {
  const scripts = built('store/links/dead-letter-script.js') as {
    insertDeadLettersScript: (statements: object, rows: Rows) => Generator<unknown, unknown, never>;
  };
  const insert = scripts.insertDeadLettersScript;
  return async function (work) {
    const { statements, transact } = this.options;
    const ended: Rows[] = [];
    // eslint-disable-next-line require-yield -- a script without statements
    scripts.insertDeadLettersScript = function* (_statements, rows) {
      ended.push(rows);
      return [];
    };
    const result = await method.call(this, work);
    setTimeout(
      () => ended.forEach((rows) => void transact(() => insert(statements, rows)).catch(() => undefined)),
      BEFORE_INSERT_MS,
    );
    return result;
  };
}
