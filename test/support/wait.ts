import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 5;

/**
 * Waits until `condition` gives a truthy value, and returns that value. An exception in it ends the wait.
 * @example await until(() => finished.length === 3, { message: 'three finished jobs' });
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 30_000, message = 'the condition' }: { timeoutMs?: number; message?: string | (() => string) } = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() >= deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain for ${typeof message === 'string' ? message : message()}`);
    }
    await sleep(POLL_MS);
  }
}

/** A promise that a test settles from outside: one side awaits `promise`, the other calls `resolve` or `reject`. */
export interface Signal<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: Error) => void;
}

export function signal<T = void>(): Signal<T> {
  let resolve!: Signal<T>['resolve'];
  let reject!: Signal<T>['reject'];
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
