import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';

export interface Question {
  readonly title: string;
  /** Asks once. Answers what is worth a column: how many items, how many jobs. */
  readonly ask: () => Promise<string>;
}

export interface Times {
  readonly title: string;
  readonly answer: string;
  readonly p50Ms: number;
  readonly p95Ms: number;
  /** How long the event loop stood still at most. */
  readonly stopMs: number;
}

const WARM_UP_ROUNDS = 3;

/** Asks a question again and again, one after another. */
export async function timesOf({ title, ask }: Question, rounds: number): Promise<Times> {
  let answer = '';
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    answer = await ask();
  }
  const stops = monitorEventLoopDelay({ resolution: 1 });
  stops.enable();
  const took: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const sinceMs = performance.now();
    await ask();
    took.push(performance.now() - sinceMs);
    await nextTurn();
  }
  stops.disable();
  took.sort((a, b) => a - b);
  const at = (share: number): number => took[Math.ceil(share * took.length) - 1]!;
  return { title, answer, p50Ms: at(0.5), p95Ms: at(0.95), stopMs: stops.max / 1e6 };
}

/** As Markdown. */
export function tableOf(times: readonly Times[]): string {
  const rows = times.map(({ title, answer, p50Ms, p95Ms, stopMs }) => [
    title,
    answer,
    ...[p50Ms, p95Ms, stopMs].map(short),
  ]);
  const head = ['question', 'answer', 'p50 ms', 'p95 ms', 'longest stop ms'];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function short(ms: number): string {
  return ms.toFixed(1);
}
