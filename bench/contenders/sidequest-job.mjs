import { Job } from 'sidequest';

/** Set by the process that works. @type {(payload: import('./index.mjs').Payload) => Promise<void>} */
let handle = () => Promise.reject(new Error('no handler'));

/** @param {typeof handle} run */
export function handleWith(run) {
  handle = run;
}

/** A job of the topic `work`: Sidequest finds the class by its file and its name. */
export class Work extends Job {
  /** @param {import('./index.mjs').Payload} payload */
  run(payload) {
    return handle(payload);
  }
}

/** A job of another topic. Each worker of Sidequest runs all jobs of a database, so it runs these too and does nothing. */
export class Other extends Job {
  async run() {}
}
