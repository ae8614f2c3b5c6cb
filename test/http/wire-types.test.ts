import type * as Bulk from '../../client/bulk-wire.js';
import type * as Groups from '../../client/group-wire.js';
import type * as Logs from '../../client/log-wire.js';
import type * as Reports from '../../client/report-wire.js';
import type * as Client from '../../client/wire.js';
import type { SnakeCase } from '../../lib/core/wire-name.js';
import type { ApiErrorBody } from '../../lib/http/api-error.js';
import type { CapabilitiesDto } from '../../lib/http/jobs-discovery.controller.js';
import type { BulkDto, JobDto, JobListDto, JobLogDto, JobPageDto, ScheduleDto } from '../../lib/http/job-serializer.js';
import type {
  ErrorGroupsDto,
  DefinedLimitsDto,
  FullGroupDto,
  JobGraphDto,
  JobGroupDto,
  StatsDto,
  TimeseriesDto,
  WatchedJobDto,
  WorkerListDto,
  TopicListDto,
} from '../../lib/http/report-serializer.js';
import type {
  BULK,
  BULK_FILTER,
  ENQUEUE,
  ENQUEUE_MANY,
  GROUP,
  LIST,
  NEW_JOB,
  REQUEUE,
  SCHEDULE,
} from '../../lib/http/requests.js';

/** The names of a table's fields in a request. */
type WireNames<Table> = SnakeCase<keyof Table & string>;

/** Removes readonly modifiers. */
type Plain<T> = T extends readonly (infer Member)[]
  ? Plain<Member>[]
  : T extends object
    ? { -readonly [Name in keyof T]: Plain<T[Name]> }
    : T;

type Same<A, B> = [Plain<A>] extends [Plain<B>] ? ([Plain<B>] extends [Plain<A>] ? true : false) : false;

/** Compiles when the claim is `true`. */
function holds<Claim extends true>(..._claim: Claim[]): void {}

describe('client and server', () => {
  it('use the same response types', () => {
    holds<Same<JobDto, Client.Job>>();
    holds<Same<JobListDto, Client.EnqueuedJobs>>();
    holds<Same<JobPageDto, Client.JobPage>>();
    holds<Same<JobLogDto, Logs.JobLog>>();
    holds<Same<WatchedJobDto, Logs.StreamJob>>();
    holds<Same<BulkDto, Bulk.BulkResult>>();
    holds<Same<StatsDto, Client.JobStats>>();
    holds<Same<TopicListDto, Client.TopicList>>();
    holds<Same<DefinedLimitsDto, Client.TopicLimits>>();
    holds<Same<TimeseriesDto, Reports.Timeseries>>();
    holds<Same<WorkerListDto, Client.WorkerList>>();
    holds<Same<ErrorGroupsDto, Reports.ErrorGroups>>();
    holds<Same<ScheduleDto, Client.Schedule>>();
    holds<Same<JobGroupDto, Groups.JobGroup>>();
    holds<Same<FullGroupDto, Groups.JobGroupWithCallbacks>>();
    holds<Same<JobGraphDto, Groups.JobGraph>>();
    holds<Same<CapabilitiesDto, Client.Capabilities>>();
    holds<Same<ApiErrorBody, Client.ApiErrorBody>>();
    expect.assertions(0);
  });

  it('use the same field names in requests', () => {
    holds<Same<WireNames<typeof ENQUEUE>, keyof Client.EnqueueRequest>>();
    holds<Same<WireNames<typeof NEW_JOB>, keyof Groups.NewJobRequest>>();
    holds<Same<WireNames<typeof GROUP>, keyof Groups.GroupRequest>>();
    holds<Same<WireNames<typeof ENQUEUE_MANY>, keyof Groups.EnqueueManyRequest>>();
    holds<Same<WireNames<typeof REQUEUE>, keyof Client.RequeueRequest>>();
    holds<Same<WireNames<typeof SCHEDULE>, keyof Client.ScheduleRequest>>();
    holds<Same<WireNames<typeof BULK>, keyof Bulk.BulkRequest>>();
    holds<Same<WireNames<typeof BULK_FILTER>, keyof Bulk.BulkFilter>>();
    holds<Same<WireNames<typeof LIST>, keyof Bulk.BulkFilter | 'order' | 'limit' | 'offset' | 'cursor'>>();
    expect.assertions(0);
  });

  it('are compared by a type that detects differences', () => {
    // @ts-expect-error -- an additional member
    holds<Same<StatsDto & { p100: number }, Client.JobStats>>();
    // @ts-expect-error -- another type
    holds<Same<Omit<Client.Job, 'attempt'> & { attempt: string }, Client.Job>>();
    expect.assertions(0);
  });
});
