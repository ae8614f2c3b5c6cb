import type { JobState, TransitionVerb } from '../../lib/core/job-state.js';
import { TRANSITIONS } from '../../lib/core/job-state.js';

/** Whether `verb` may move a job from `from` to `to`. */
export function isLegalTransition(verb: TransitionVerb, from: JobState, to: JobState): boolean {
  return TRANSITIONS.some((t) => t.verb === verb && t.from === from && t.to === to);
}
