import type * as Client from '../../client/wire.js';
import type { BULK, BULK_FILTER, ENQUEUE, ENQUEUE_MANY, LIST, REQUEUE } from '../../lib/http/requests.js';
import type { JobsController } from '../../lib/http/jobs.controller.js';
import type { DiscoveryController } from '../../lib/http/discovery.controller.js';
import type { ReportsController } from '../../lib/http/reports.controller.js';
import type { TopicsController } from '../../lib/http/topics.controller.js';
import type { ApiErrorBody } from '../../lib/http/api-error.js';

/** What a method of a controller answers. */
type Said<Controller, Name extends keyof Controller> = Controller[Name] extends (
  ...args: never[]
) => Promise<{ value: infer Value }>
  ? Value
  : never;

/** Without what only one side says of itself: that a member is not to be written. */
type Plain<T> = T extends readonly (infer Member)[]
  ? Plain<Member>[]
  : T extends object
    ? { -readonly [Name in keyof T]: Plain<T[Name]> }
    : T;

type Same<A, B> = [Plain<A>] extends [Plain<B>] ? ([Plain<B>] extends [Plain<A>] ? true : false) : false;

/** Compiles when the claim is `true`. */
function holds<Claim extends true>(..._claim: Claim[]): void {}

describe('the client and the server', () => {
  it('mean the same answers', () => {
    holds<Same<Said<JobsController, 'enqueue'>, Client.Job>>();
    holds<Same<Said<JobsController, 'get'>, Client.Job>>();
    holds<Same<Said<JobsController, 'requeue'>, Client.Job>>();
    holds<Same<Said<JobsController, 'promote'>, Client.Job>>();
    holds<Same<Said<JobsController, 'cancel'>, Client.Job>>();
    holds<Same<Said<JobsController, 'enqueueMany'>, Client.EnqueuedJobs>>();
    holds<Same<Said<JobsController, 'list'>, Client.JobPage>>();
    holds<Same<Said<JobsController, 'bulk'>, Client.BulkResult>>();
    holds<Same<Said<ReportsController, 'stats'>, Client.JobStats>>();
    holds<Same<Said<TopicsController, 'topics'>, Client.TopicList>>();
    holds<Same<Said<ReportsController, 'timeseries'>, Client.Timeseries>>();
    holds<Same<Said<ReportsController, 'errors'>, Client.ErrorGroups>>();
    holds<Same<Said<DiscoveryController, 'capabilities'>, Client.Capabilities>>();
    holds<Same<ApiErrorBody, Client.ApiErrorBody>>();
    expect.assertions(0);
  });

  it('mean the same requests, by the names of their fields', () => {
    holds<Same<keyof typeof ENQUEUE, keyof Client.EnqueueRequest>>();
    holds<Same<keyof typeof ENQUEUE_MANY, keyof Client.EnqueueManyRequest>>();
    holds<Same<keyof typeof REQUEUE, keyof Client.RequeueRequest>>();
    holds<Same<keyof typeof BULK, keyof Client.BulkRequest>>();
    holds<Same<keyof typeof BULK_FILTER, keyof Client.BulkFilter>>();
    holds<Same<keyof typeof LIST, keyof Client.BulkFilter | 'limit' | 'offset' | 'cursor'>>();
    expect.assertions(0);
  });

  it('are held together by a comparison that sees a difference', () => {
    // @ts-expect-error -- a member more
    holds<Same<Said<ReportsController, 'stats'> & { p100: number }, Client.JobStats>>();
    // @ts-expect-error -- another type
    holds<Same<Omit<Client.Job, 'attempt'> & { attempt: string }, Client.Job>>();
    expect.assertions(0);
  });
});
