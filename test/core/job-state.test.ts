import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JobState, TransitionVerb } from '../../lib/core/job-state.js';
import { FINAL_STATUSES, isFinal, JOB_STATUSES, parseJobId, TRANSITIONS } from '../../lib/core/job-state.js';
import { isLegalTransition } from '../support/legal-transition.js';
import { readMarkdownTable } from '../support/unit/markdown-table.js';
import { v7 as uuidv7 } from 'uuid';

const STATES: readonly JobState[] = ['none', ...JOB_STATUSES];
const VERBS = [...new Set(TRANSITIONS.map(({ verb }) => verb))];
const DOCUMENT = join(__dirname, '../../docs/state-machine.md');

describe('the state machine', () => {
  it('matches the table of docs/state-machine.md', () => {
    const rows = readMarkdownTable(readFileSync(DOCUMENT, 'utf8'), ['verb', 'from', 'to', 'guard']);

    expect(rows).toEqual(TRANSITIONS);
  });

  it('has five statuses, three of them final', () => {
    expect(JOB_STATUSES).toEqual(['pending', 'processing', 'completed', 'failed', 'cancelled']);
    expect(FINAL_STATUSES).toEqual(['completed', 'failed', 'cancelled']);
    expect(JOB_STATUSES.filter(isFinal)).toEqual(FINAL_STATUSES);
  });

  it('lists each transition once', () => {
    const words = TRANSITIONS.map(({ verb, from, to }) => `${verb}: ${from} → ${to}`);

    expect(new Set(words).size).toBe(words.length);
  });

  it('allows exactly the transitions of its table', () => {
    const allowed = VERBS.flatMap((verb) =>
      STATES.flatMap((from) => STATES.filter((to) => isLegalTransition(verb, from, to)).map((to) => [verb, from, to])),
    );

    expect(sortMoves(allowed)).toEqual(sortMoves(TRANSITIONS.map(({ verb, from, to }) => [verb, from, to])));
  });

  it.each<[TransitionVerb, readonly JobState[], readonly JobState[]]>([
    ['insert', ['none'], ['pending']],
    ['claim', ['pending'], ['processing']],
    ['markStarted', ['processing'], ['processing']],
    ['renew', ['processing'], ['processing']],
    ['complete', ['processing'], ['completed']],
    ['fail', ['processing'], ['failed']],
    ['end cancelled', ['processing'], ['cancelled']],
    ['retry', ['processing'], ['pending']],
    ['snooze', ['processing'], ['pending']],
    ['release', ['processing'], ['pending']],
    ['rescue', ['processing'], ['pending', 'failed', 'cancelled']],
    ['cancel', ['pending'], ['cancelled']],
    ['requeue', ['failed', 'cancelled'], ['pending']],
    ['promote', ['pending'], ['pending']],
    ['unblock', ['pending'], ['pending']],
    ['delete', ['pending', 'completed', 'failed', 'cancelled'], ['none']],
    ['keep', ['cancelled'], ['pending']],
    ['prune', ['completed', 'failed', 'cancelled'], ['none']],
  ])('lets %s move a job only from %p to %p', (verb, from, to) => {
    const rows = TRANSITIONS.filter((row) => row.verb === verb);

    expect([...new Set(rows.map((row) => row.from))]).toEqual(from);
    expect([...new Set(rows.map((row) => row.to))]).toEqual(to);
  });

  it('lets a worker write only to an attempt that it owns', () => {
    const ofWorkers: readonly TransitionVerb[] = [
      'markStarted',
      'renew',
      'complete',
      'fail',
      'end cancelled',
      'retry',
      'snooze',
      'release',
    ];

    for (const { verb, guard } of TRANSITIONS.filter((row) => ofWorkers.includes(row.verb))) {
      expect(`${verb}: ${guard}`).toMatch(/: same id and attempt, still processing/);
    }
  });

  it('never removes a processing job, and every state can be reached and left', () => {
    expect(TRANSITIONS.some(({ from, to }) => from === 'processing' && to === 'none')).toBe(false);
    for (const state of STATES) {
      expect(TRANSITIONS.some(({ from, to }) => to === state && from !== state)).toBe(true);
      expect(TRANSITIONS.some(({ from, to }) => from === state && to !== state)).toBe(true);
    }
  });
});

function sortMoves(moves: readonly (readonly string[])[]): string[] {
  return moves.map((move) => move.join(' ')).sort();
}

const id = '01890a5d-ac96-774b-bcce-b302099a8057';

describe('a job id', () => {
  it('is normalized to the form of the database', () => {
    expect(parseJobId(id)).toBe(id);
    expect(parseJobId(id.toUpperCase())).toBe(id);
  });

  it('accepts every id that the queue creates', () => {
    const made = uuidv7();

    expect(parseJobId(made)).toBe(made);
  });

  it.each([
    '',
    ` ${id}`,
    `${id}\n`,
    `{${id}}`,
    `urn:uuid:${id}`,
    id.replaceAll('-', ''),
    id.slice(1),
    `${id}0`,
    id.replace('a', 'g'),
    `${id}; DROP TABLE _jobs`,
    7,
    null,
    undefined,
    [id],
    { toString: () => id },
  ])('rejects %p', (value) => {
    expect(parseJobId(value)).toBeUndefined();
  });
});
