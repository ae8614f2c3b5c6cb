import { Job } from 'sidequest';
import { call } from './sidequest-calls.mjs';

/** The worker process replaces this handler. A thread of its child process keeps `call`. */
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

/** A job of another topic. Each worker of Sidequest runs all jobs of a database, so this one does nothing. */
export class Other extends Job {
  async run() {}
}
