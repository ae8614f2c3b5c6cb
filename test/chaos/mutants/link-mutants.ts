import type { Mutant } from './mutant.js';
import { edit } from './mutant.js';

export const linkMutants: readonly Mutant[] = [
  {
    name: 'holders without a mark',
    wrong: 'the next holder of a token does not owe a follow-up when it ends',
    breaks: ['stuck'],
    break: (settings) =>
      edit(settings, ['MARK_HOLDERS'], (sql) =>
        sql
          .replace('SET watched = 1 FROM w', 'SET watched = w.watched FROM w')
          .replace('NULL, 1, watched)', 'NULL, watched, watched)'),
      ),
  },
  {
    name: 'open parents not seen',
    wrong: 'the end of one parent releases a child, and the end of one member finishes a group',
    breaks: ['early'],
    break: (settings) =>
      edit(
        settings,
        ['FIND_NEXT', 'FIND_NEXT_OF_ONE'].slice(0, settings.database.type === 'postgres' ? 1 : 2),
        hideOpen,
      ),
  },
];

/** No parent is open. */
function hideOpen(sql: string): string {
  return sql
    .replace('CASE WHEN l.ended IS NULL THEN', 'CASE WHEN false THEN')
    .replace(/iif\(x\.(value ->> 1|ended) IS NULL,/, 'iif(false,');
}
