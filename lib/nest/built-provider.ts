import { setTimeout as sleep } from 'node:timers/promises';
import { Scope } from '@nestjs/common';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';

/** A provider that Nest has not come to yet is looked at again after this, and ever more rarely. */
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 2_000;

const open = Promise.resolve('open');

/**
 * Whether Nest has called a provider's constructor, or has none to call before there is a job. Until then it has a shell in
 * the instance's place: an object of the class, and nothing in it. That is so while a module is being loaded lazily.
 */
export async function isBuilt(wrapper: InstanceWrapper<unknown>): Promise<boolean> {
  const { isResolved, donePromise } = wrapper.getInstanceByContextId(STATIC_CONTEXT);
  if (isResolved || wrapper.scope === Scope.REQUEST || wrapper.scope === Scope.TRANSIENT) {
    return true;
  }
  // It resolves with the error of a constructor, if there is one. Without instance and error the provider depends on a scoped
  // one, and so is scoped, too.
  return donePromise !== undefined && (await Promise.race([donePromise, open])) === undefined;
}

/** Resolves when it is, as long as somebody wants to know; with `false` when that will not be. */
export async function untilBuilt(wrapper: InstanceWrapper<unknown>, isWanted: () => boolean): Promise<boolean> {
  for (let pauseMs = PAUSE_MIN_MS; isWanted(); pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    const { isResolved, donePromise } = wrapper.getInstanceByContextId(STATIC_CONTEXT);
    if (isResolved || donePromise) {
      return !(await donePromise);
    }
    await sleep(pauseMs, undefined, { ref: false });
  }
  return false;
}
