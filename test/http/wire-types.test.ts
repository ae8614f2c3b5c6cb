import type * as Client from '../../client/wire.js';
import type { ApiErrorBody } from '../../lib/http/api-error.js';
import type { CapabilitiesDto } from '../../lib/http/discovery.controller.js';
import type { BulkDto, JobDto, JobListDto, JobPageDto } from '../../lib/http/job-serializer.js';
import type { ErrorGroupsDto, StatsDto, TimeseriesDto, TopicListDto } from '../../lib/http/report-serializer.js';
import type { BULK, BULK_FILTER, ENQUEUE, ENQUEUE_MANY, LIST, REQUEUE } from '../../lib/http/requests.js';

/** The names of a table's fields in a request. */
type WireNames<Table> = SnakeCase<keyof Table & string>;
type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeCase<Rest>}`
  : Name;

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
    holds<Same<JobDto, Client.Job>>();
    holds<Same<JobListDto, Client.EnqueuedJobs>>();
    holds<Same<JobPageDto, Client.JobPage>>();
    holds<Same<BulkDto, Client.BulkResult>>();
    holds<Same<StatsDto, Client.JobStats>>();
    holds<Same<TopicListDto, Client.TopicList>>();
    holds<Same<TimeseriesDto, Client.Timeseries>>();
    holds<Same<ErrorGroupsDto, Client.ErrorGroups>>();
    holds<Same<CapabilitiesDto, Client.Capabilities>>();
    holds<Same<ApiErrorBody, Client.ApiErrorBody>>();
    expect.assertions(0);
  });

  it('mean the same requests, by the names of their fields', () => {
    holds<Same<WireNames<typeof ENQUEUE>, keyof Client.EnqueueRequest>>();
    holds<Same<WireNames<typeof ENQUEUE_MANY>, keyof Client.EnqueueManyRequest>>();
    holds<Same<WireNames<typeof REQUEUE>, keyof Client.RequeueRequest>>();
    holds<Same<WireNames<typeof BULK>, keyof Client.BulkRequest>>();
    holds<Same<WireNames<typeof BULK_FILTER>, keyof Client.BulkFilter>>();
    holds<Same<WireNames<typeof LIST>, keyof Client.BulkFilter | 'limit' | 'offset' | 'cursor'>>();
    expect.assertions(0);
  });

  it('are held together by a comparison that sees a difference', () => {
    // @ts-expect-error -- a member more
    holds<Same<StatsDto & { p100: number }, Client.JobStats>>();
    // @ts-expect-error -- another type
    holds<Same<Omit<Client.Job, 'attempt'> & { attempt: string }, Client.Job>>();
    expect.assertions(0);
  });
});
