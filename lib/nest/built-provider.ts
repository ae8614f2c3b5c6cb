import { Scope } from '@nestjs/common';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { setTimeout } from '../store/real-timers.js';

/** A provider that Nest has not come to yet is looked at again after this, and ever more rarely. */
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 2_000;

/** No answer yet. */
const open = Symbol('open');

/**
 * Whether Nest has called a provider's constructor, or has none to call before there is a job. Until then it has a shell in
 * the instance's place: an object of the class, and nothing in it. That is so while a module is being loaded lazily: such a
 * one has no distance from the root, and a global one a distance that says nothing.
 */
export async function isBuilt(wrapper: InstanceWrapper<unknown>): Promise<boolean> {
  const { host, scope } = wrapper;
  const { isResolved, donePromise } = wrapper.getInstanceByContextId(STATIC_CONTEXT);
  const isOfStart = host !== undefined && host.distance > 0 && !host.isGlobal;
  if (isResolved || isOfStart || scope === Scope.REQUEST || scope === Scope.TRANSIENT) {
    return true;
  }
  // It resolves with the error of a constructor, if there is one. Without instance and error the provider depends on a scoped
  // one, and so is scoped, too.
  return donePromise !== undefined && (await Promise.race([donePromise, Promise.resolve(open)])) === undefined;
}

/** Resolves when it is, as long as somebody wants to know; with `false` when that will not be. */
export async function untilBuilt(wrapper: InstanceWrapper<unknown>, isWanted: () => boolean): Promise<boolean> {
  for (let pauseMs = PAUSE_MIN_MS; isWanted(); pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    const { isResolved, donePromise } = wrapper.getInstanceByContextId(STATIC_CONTEXT);
    const pause = new Promise<typeof open>((resolve) => setTimeout(resolve, pauseMs, open).unref());
    const answer = isResolved ? undefined : await Promise.race(donePromise ? [donePromise, pause] : [pause]);
    if (answer !== open) {
      return answer === undefined;
    }
    // By now its dependencies are known. Nest 11.1.20 never says that it is done with a provider that is scoped by one of them.
    if (donePromise && !wrapper.isDependencyTreeStatic()) {
      return true;
    }
  }
  return false;
}
