/** The module's options, as the application wrote them. */
export const JOBS_OPTIONS = Symbol('nestjs-jobs:options');
/** The store, open. */
export const JOBS_STORE = Symbol('nestjs-jobs:store');
