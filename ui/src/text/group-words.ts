import type { JobGroup } from '../../../client/index.js';
import { messages } from '../messages/messages.js';
import { JOB_STATUSES } from './job-statuses.js';
import { shortened, visible } from './visible-text.js';

/** Its name, or the end of its id. */
export function groupTitle({ name, id }: Pick<JobGroup, 'name' | 'id'>): string {
  return name === null ? messages.groups.untitled(id.slice(-6)) : shortened(visible(name), 80);
}

/** `88 of 100 ended`. */
export function endedText({ total, pending, processing }: JobGroup): string {
  return total === 0 ? messages.groups.noJobs : messages.groups.ended(total - pending - processing, total);
}

/** `12 pending · 85 completed · 3 failed`. */
export function membersText(group: JobGroup): string {
  return JOB_STATUSES.filter((status) => group[status] > 0)
    .map((status) => messages.groups.member(group[status], messages.actions.statuses[status]))
    .join(' · ');
}
