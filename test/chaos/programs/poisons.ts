import { setTimeout as sleep } from 'node:timers/promises';
import type { HistoryWriter } from '../history.js';
import type { LoadContext } from '../protocol.js';
import { DEAD_LETTERS, EXIT_OF_HANDLER } from '../protocol.js';

type On = (topic: string, work: (job: LoadContext) => Promise<unknown>, options?: object) => void;

const BLOCKED_MS = 1_500;
const TIMEOUT_MS = 400;
const LATE_MS = 1_200;
/** Handlers that never settle keep their slots, by design: so many of a process and no more. */
const ENDLESS_AT_ONCE = 2;

/** Handlers that misbehave. */
export function register(on: On, history: HistoryWriter): void {
  on('poison', (job) => misbehave(job, history), { timeout: TIMEOUT_MS, concurrency: 3, deadLetter: DEAD_LETTERS });
  on('poison_endless', () => new Promise(() => undefined), {
    timeout: TIMEOUT_MS,
    concurrency: ENDLESS_AT_ONCE,
    deadLetter: DEAD_LETTERS,
  });
}

async function misbehave({ id, attempt, payload }: LoadContext, history: HistoryWriter): Promise<unknown> {
  switch (payload.poison) {
    case 'exits':
      history.write({ kind: 'exits', id, attempt });
      return process.exit(EXIT_OF_HANDLER);
    case 'blocks':
      return block(BLOCKED_MS);
    case 'rejects late':
      await sleep(LATE_MS);
      throw new Error('too late for anybody to care');
    default:
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- what the campaign is about
      throw undefined;
  }
}

/** Holds the event loop, so that no lease of this process is renewed. */
function block(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}
