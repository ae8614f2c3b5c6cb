import { formatDuration } from '../../core/duration.js';
import { FINAL_STATUSES } from '../../core/job-state.js';
import { duration, oneOf, oneOrMany } from '../../core/option-checks.js';
import type { Retention } from '../../core/retention.js';
import { OPTIONS } from '../../core/options.js';
import { toField } from '../../http/requests.js';
import { formatCount, formatJobs } from '../format.js';
import { EXIT } from '../exit.js';
import { defineVerb, DRY_RUN } from '../verb.js';

const DEFAULTS = OPTIONS.retention.default;

/** Deletes old finished jobs. */
export const prune = defineVerb({
  name: 'prune',
  summary: 'Deletes finished jobs that are over their age now',
  details: [
    'Workers do the same in the background, by the option `retention` of the application, which this command does not know. Without ' +
      `--older-than the defaults apply: ${FINAL_STATUSES.map(toDefaultText).join(', ')}. Topics with a retention of their own keep it. ` +
      'It asks first.',
  ],
  examples: ['nestjs-jobs prune --older-than 12h --status completed', 'nestjs-jobs prune --dry-run'],
  fields: {
    olderThan: toField(duration(0), "time since the jobs finished, such as '12h'"),
    status: { ...toField(oneOrMany(oneOf(...FINAL_STATUSES)), 'only jobs in this status'), isRepeatable: true },
  },
  switches: DRY_RUN,
  async run({ values: { olderThan, status = FINAL_STATUSES }, isOn, isJson, terminal, confirm, open }) {
    const retention = Object.fromEntries(
      FINAL_STATUSES.map((each) => [each, status.includes(each) ? (olderThan ?? DEFAULTS[each]) : false]),
    ) as Record<keyof Retention, number | false>;
    const queue = await open();
    const engine = await queue.engine({ retention });
    const counts = await queue.inspector.countPrunable(retention);
    const total = Object.values(counts).reduce((sum, jobs) => sum + jobs, 0);
    const list = Object.entries(counts).map(([each, jobs]) => `${formatCount(jobs)} ${each}`);
    const what = `${formatJobs(total)}${list.length > 0 ? ` (${list.join(', ')})` : ''}`;
    const isDryRun = isOn('dry-run');
    if (!isDryRun && total > 0) {
      await confirm(`Delete ${what}?`);
    }
    const { removed, refused } = isDryRun || total === 0 ? { removed: 0, refused: 0 } : await engine.prune();
    if (isJson) {
      terminal.printJson({ matched: total, by_status: counts, removed, refused });
    } else {
      terminal.print(isDryRun ? `would delete ${what}` : `deleted ${formatJobs(removed)}`);
    }
    return refused > 0 ? EXIT.FAILED : EXIT.DONE;
  },
});

function toDefaultText(status: keyof Retention): string {
  const age = DEFAULTS[status];
  return `${status} ${age === false ? 'never' : formatDuration(age)}`;
}
