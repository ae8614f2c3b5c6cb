import type { Mutant } from './mutant.js';
import { edit } from './mutant.js';

export const deadLetterMutants: readonly Mutant[] = [
  {
    name: 'follow-ups forgotten after a crash',
    wrong: 'no process looks for follow-ups that a killed one has left',
    breaks: ['lost', 'half done'],
    break: (settings) => edit(settings, ['FIND_OWED'], (sql) => sql.replace('ORDER BY', 'AND false ORDER BY')),
  },
];
