import type { Job, JobGroup, JobStatus } from '../../../client/index.js';
import { messages } from '../messages/messages.js';
import { groupTitle } from '../text/group-words.js';
import { notices } from './notices.svelte.js';
import { questions } from './questions.svelte.js';
import { api } from './session.svelte.js';

/** The id of the group that a job belongs to, from its metadata: of its members and of the jobs that wait for it. */
export function readGroupId({ metadata }: Pick<Job, 'metadata'>): string | null {
  const id = metadata?.$group;
  return typeof id === 'string' ? id : null;
}

/** Members that have not ended. */
export function countUnfinished({ pending, processing }: JobGroup): number {
  return pending + processing;
}

/** Asks, and cancels the group. Returns the group as it is then; `null`: it was not cancelled. */
export async function cancelGroup(group: JobGroup): Promise<JobGroup | null> {
  const { pending, processing } = group;
  const title = messages.groups.cancelTitle(groupTitle(group));
  const text = messages.groups.cancelText(pending, processing);
  if (!(await questions.ask({ title, text, verb: messages.groups.cancelGroup }))) return null;
  try {
    const cancelled = await api.groups.cancel(group.id);
    notices.say(messages.groups.cancelled(groupTitle(group)));
    return cancelled;
  } catch (error) {
    notices.complain(error);
    return null;
  }
}

/** The statuses in the order of the progress bar. The rest of the bar are pending jobs. */
export const BAR_STATUSES = ['completed', 'failed', 'cancelled', 'processing'] as const satisfies JobStatus[];
