import { suggestNearest } from '../../core/suggestion.js';
import { HandlerBatch, HandlerContext } from '../../engine/run/handler-context.js';

/** Runs a handler. Until its promise settles, reading a member that the job does not have throws. */
export type MemberCheck = <T>(job: object, handle: () => T) => T;

/**
 * Returns the check, or `undefined` in production. Most reads of an unknown member are meant for the payload, and `undefined` would
 * go unnoticed. Guards, interceptors and filters may read any member: they may be written for requests.
 */
export function createMemberCheck(): MemberCheck | undefined {
  if (process.env['NODE_ENV'] === 'production') {
    return undefined;
  }
  // Changes the prototype instead of wrapping each job, so that a handler and its interceptors get the same object.
  Object.setPrototypeOf(HandlerContext.prototype, unknownMembers);
  Object.setPrototypeOf(HandlerBatch.prototype, membersOfJobs);
  return (argument, handle) => {
    const checked = argument instanceof HandlerBatch ? [argument, ...argument] : [argument];
    checked.forEach((each) => checkedJobs.add(each));
    const result = handle();
    if (result instanceof Promise) {
      const onSettled = (): void => checked.forEach((each) => void checkedJobs.delete(each));
      result.then(onSettled, onSettled);
    }
    return result;
  };
}

/** The jobs whose handlers are running. */
const checkedJobs = new WeakSet<object>();

/** A prototype of all jobs: JavaScript reads it for each member that neither the job nor its class has. */
const unknownMembers: object = new Proxy(Object.prototype, {
  get(target, name, job: HandlerContext): unknown {
    if (typeof name === 'string' && !(name in target) && checkedJobs.has(job)) {
      assertProbe(job, name);
    }
    return Reflect.get(target, name, job);
  },
});

/** A prototype of all batches. Such a read is meant for one of the jobs. */
const membersOfJobs: object = new Proxy(Array.prototype as object, {
  get(target, name, batch: HandlerBatch): unknown {
    if (typeof name === 'string' && !(name in target) && checkedJobs.has(batch) && batch[0] && name in batch[0]) {
      throw new TypeError(
        `the batch has no member '${name}'; it is an array of jobs: for (const job of jobs), then read job.${name}`,
      );
    }
    return Reflect.get(target, name, batch);
  },
});

/** @throws TypeError unless JavaScript or a library reads this name of any value. */
function assertProbe(job: HandlerContext, name: string): void {
  if (PROTOCOLS.has(name)) {
    return;
  }
  if (hasMember(job.payload, name)) {
    throw new TypeError(
      `the job has no member '${name}'; the payload is job.payload: read job.payload.${name}, or decorate the parameter with @Payload()`,
    );
  }
  if (!PROBES.has(name) && !/^(?:[_$@]|(?:get|has|is|set|to)[A-Z])/.test(name)) {
    const equivalent = MEMBERS_ELSEWHERE.get(name);
    const names = equivalent === undefined ? [...Object.keys(job), 'log', 'manager', 'schedule', 'step'] : [equivalent];
    throw new TypeError(`the job has no member '${name}'${suggestNearest(equivalent ?? name, names)}`);
  }
}

function hasMember(payload: unknown, name: string): boolean {
  return typeof payload === 'object' && payload !== null && Object.hasOwn(payload, name);
}

/** Read of any value by `await`, `JSON.stringify` and `console.log`, which must work whatever the payload is. */
const PROTOCOLS: ReadonlySet<string> = new Set(['then', 'toJSON', 'href']);

/** Libraries read these to find out what a value is: test runners, loggers, axios, RxJS and Nest. */
const PROBES: ReadonlySet<string> = new Set([
  ...['asymmetricMatch', 'inspect', 'nodeName', 'nodeType', 'tagName'],
  ...['append', 'cause', 'err', 'length', 'message', 'method', 'msg', 'size', 'stack'],
  ...['lift', 'on', 'pipe', 'schedule', 'subscribe'],
  ...['catch', 'raw'],
]);

/** Members of the jobs of other queues. */
const MEMBERS_ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['attempts', 'attempt'],
  ['attemptsMade', 'attempt'],
  ['data', 'payload'],
  ['name', 'topic'],
  ['queueName', 'topic'],
  ['timestamp', 'created'],
  ['updateProgress', 'progress'],
]);
