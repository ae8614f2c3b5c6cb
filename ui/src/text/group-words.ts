import type { JobGroup, JobGroupWithCallbacks } from '../../../client/index.js';
import { countText } from './amount.js';
import { JOB_STATUSES } from './job-statuses.js';
import { shortened, visible } from './visible-text.js';

/** Its name, or the end of its id. */
export function groupTitle({ name, id }: Pick<JobGroup, 'name' | 'id'>): string {
  return name === null ? `Group …${id.slice(-6)}` : shortened(visible(name), 80);
}

/** `88 of 100 ended`. */
export function endedText({ total, pending, processing }: JobGroup): string {
  return total === 0 ? 'no jobs' : `${countText(total - pending - processing)} of ${countText(total)} ended`;
}

/** `12 pending · 85 completed · 3 failed`. */
export function membersText(group: JobGroup): string {
  return JOB_STATUSES.filter((status) => group[status] > 0)
    .map((status) => `${countText(group[status])} ${status}`)
    .join(' · ');
}

type CallbackKind = JobGroupWithCallbacks['callbacks'][number]['kind'];

/** When a callback starts. */
export const CALLBACK_TEXTS: Readonly<Record<CallbackKind, string>> = {
  on_success: 'Starts when all jobs have completed',
  on_finish: 'Starts when all jobs have ended',
  on_failure: 'Starts when the first job fails',
};
