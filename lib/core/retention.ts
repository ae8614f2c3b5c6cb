import type { Duration } from './duration.js';
import type { FinalStatus } from './job-state.js';
import type { Check } from './option-checks.js';
import { duration, either, option, optional, readOptions } from './option-checks.js';

/** How long finished jobs are kept, for all of them or by status. `false` keeps them for ever, `0` deletes them at once. */
export type RetentionOption = Duration | false | { [Status in FinalStatus]?: Duration | false | undefined };

/** Age in milliseconds at which finished jobs are pruned, by status. `false` keeps them. */
export type Retention = Readonly<Record<FinalStatus, number | false>>;

const day = 24 * 60 * 60_000;

const retentionAge = either(false, duration(0));
const retentionTable = {
  completed: option(7 * day, retentionAge),
  cancelled: option(7 * day, retentionAge),
  failed: option(30 * day, retentionAge),
};

/** The retention of a topic. An absent status has the age of the module. */
export type TopicRetention = Partial<Retention>;

const topicRetentionTable = {
  completed: optional(retentionAge),
  cancelled: optional(retentionAge),
  failed: optional(retentionAge),
};

/** The ages of the module. */
export const retentionCheck = checkRetention<Retention>((given, path) => readOptions(retentionTable, given, path));

/** Like the option of the module, without its defaults. */
export const topicRetentionCheck = checkRetention<TopicRetention>((given, path) => {
  const ages = Object.entries(readOptions(topicRetentionTable, given, path)).filter(([, age]) => age !== undefined);
  return Object.fromEntries(ages);
});

/** @param read reads an object with ages by status. */
function checkRetention<T extends TopicRetention>(read: (given: object, path: string) => T): Check<T | Retention> {
  return {
    expects: "false, a duration, or an object such as { completed: '7d', failed: '30d' }",
    parse: (value, path) => {
      if (typeof value === 'object' && value !== null) {
        return Object.freeze(read(value, path));
      }
      const age = retentionAge.parse(value, path);
      return age === undefined ? undefined : Object.freeze({ completed: age, cancelled: age, failed: age });
    },
  };
}
