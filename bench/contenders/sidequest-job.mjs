import { Job } from 'sidequest';
import { call } from './sidequest-calls.mjs';

/** Set by the process that works; a thread of its child process calls it. */
let handle = call;

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
