import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

/*
 * Sends requests, in a process of its own: what it does must not delay what it measures.
 */

/** Requests of one kind. */
export interface Load {
  readonly url: string;
  readonly token: string;
  readonly body: string;
  readonly seconds: number;
  /** Requests a second, evenly; or as many as so many connections can send, one after another. */
  readonly pace: { readonly perSecond: number } | { readonly connections: number };
}

/** What came of them. */
export interface LoadResult {
  readonly requests: number;
  /** Answers that were no success. */
  readonly refusals: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const agent = new Agent({ keepAlive: true });

function send({ url, token, body }: Load): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
    };
    const asked = request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode!));
    });
    asked.once('error', reject);
    asked.end(body);
  });
}

async function run(load: Load): Promise<LoadResult> {
  const took: number[] = [];
  let refusals = 0;
  const one = async (dueMs: number): Promise<void> => {
    const status = await send(load);
    // From when it was due: an answer that is late must not hide that the next request was, too.
    took.push(performance.now() - dueMs);
    refusals += status >= 300 ? 1 : 0;
  };
  const beganMs = performance.now();
  const endMs = beganMs + load.seconds * 1_000;
  await ('perSecond' in load.pace
    ? evenly(load.pace.perSecond, beganMs, endMs, one)
    : busily(load.pace.connections, endMs, one));
  const seconds = (performance.now() - beganMs) / 1_000;
  took.sort((a, b) => a - b);
  const at = (share: number): number => took[Math.ceil(share * took.length) - 1]!;
  const requests = took.length;
  return { requests, refusals, perSecond: requests / seconds, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: took.at(-1)! };
}

async function evenly(
  perSecond: number,
  beganMs: number,
  endMs: number,
  one: (dueMs: number) => Promise<void>,
): Promise<void> {
  const sent: Promise<void>[] = [];
  for (let dueMs = beganMs; dueMs < endMs; dueMs += 1_000 / perSecond) {
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) {
      await pause(waitMs);
    }
    sent.push(one(dueMs));
  }
  await Promise.all(sent);
}

async function busily(connections: number, endMs: number, one: (dueMs: number) => Promise<void>): Promise<void> {
  const connection = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await one(performance.now());
    }
  };
  await Promise.all(Array.from({ length: connections }, connection));
}

process.on('message', (load: Load) => {
  void run(load).then((result) => process.send!(result));
});
