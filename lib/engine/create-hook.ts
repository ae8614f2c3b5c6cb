import type { JobsSettings } from '../core/options.js';
import { createContextHook } from './context-hook.js';
import type { JobHook } from './job-hook.js';

/** Returns the code that the options need: none by default. */
export function createHook({ context }: Pick<JobsSettings, 'context'>): JobHook {
  return context ? createContextHook(context) : {};
}
