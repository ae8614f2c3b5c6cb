import type { JobStore } from '../../lib/store/job-store.js';

/** Returns a store in which some members are replaced. */
export function overrideStore(store: JobStore, members: Partial<JobStore>): JobStore {
  return override(store, members);
}

/** Returns the reports of a store, in which some methods are replaced. */
export function overrideReports(
  reports: JobStore['reports'],
  members: Partial<JobStore['reports']>,
): JobStore['reports'] {
  return override(reports, members);
}

/** Returns the log lines of a store, with some methods replaced. */
export function overrideLogs(logs: JobStore['logs'], members: Partial<JobStore['logs']>): JobStore['logs'] {
  return override(logs, members);
}

function override<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get: (_target, name) => {
      const member: unknown = members[name as keyof T] ?? Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}
