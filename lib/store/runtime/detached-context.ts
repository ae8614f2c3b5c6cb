import { AsyncResource } from 'node:async_hooks';

const scope = new AsyncResource('JobsQueue');
// Otherwise Jest's --detectOpenHandles reports this resource in the tests of an application.
scope.emitDestroy();

/**
 * Runs `work` outside the `AsyncLocalStorage` of the caller. Otherwise a handler could run inside the caller's transaction
 * when a package keeps that transaction in an `AsyncLocalStorage`.
 */
export function runDetached<T>(work: () => T): T {
  return scope.runInAsyncScope(work);
}
