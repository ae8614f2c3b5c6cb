import type { JobStore } from '../../lib/store/job-store.js';

/** Returns a store in which some methods are replaced. */
export function overrideStore(store: JobStore, verbs: Partial<JobStore>): JobStore {
  return new Proxy(store, {
    get: (target, name) => {
      const member: unknown = verbs[name as keyof JobStore] ?? Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}
