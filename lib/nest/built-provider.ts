import { setTimeout as sleep } from 'node:timers/promises';
import { Scope } from '@nestjs/common';
import { STATIC_CONTEXT } from '@nestjs/core/injector/constants.js';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';

/** A provider that Nest has not come to yet is looked at this often. */
const LOOK_AGAIN_MS = 50;

/**
 * Whether Nest has called a provider's constructor, or has none to call before there is a job. Until then it has a shell in
 * the instance's place: an object of the class, and nothing in it. Modules of the start are built when their hooks are called;
 * of those that are loaded lazily that is not sure.
 */
export function isBuilt(wrapper: InstanceWrapper<unknown>): boolean {
  const isOfStart = (wrapper.host?.distance ?? 0) > 0;
  const isScoped = wrapper.scope === Scope.REQUEST || wrapper.scope === Scope.TRANSIENT;
  return isOfStart || isScoped || wrapper.getInstanceByContextId(STATIC_CONTEXT).isResolved === true;
}

/** Resolves when it is, as long as somebody wants to know; with `false` when that will not be. */
export async function untilBuilt(wrapper: InstanceWrapper<unknown>, isWanted: () => boolean): Promise<boolean> {
  while (isWanted()) {
    const { isResolved, donePromise } = wrapper.getInstanceByContextId(STATIC_CONTEXT);
    if (isResolved) {
      return true;
    }
    if (donePromise) {
      // It resolves with the error of a constructor, if there is one. What depends on a scoped provider is scoped, too.
      return !(await donePromise);
    }
    await sleep(LOOK_AGAIN_MS, undefined, { ref: false });
  }
  return false;
}
