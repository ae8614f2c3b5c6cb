/*
 * The steps in which an engine creates its parts. The parameters of a step name the steps whose parts it uses, so they also give the order.
 * The constructor in jobs-engine.ts calls them. Each part declares in its own file what it takes from the objects it is given.
 */
import type { JobsSettings } from '../core/options.js';
import { BulkActions } from './changes/bulk-actions.js';
import { ChangeFeed } from './changes/change-feed.js';
import { GroupAdmin } from './changes/group-admin.js';
import { IdleWatch } from './changes/idle-watch.js';
import { JobActions, JobAdmin } from './changes/job-admin.js';
import { JobWaiter } from './changes/job-waiter.js';
import { TopicAdmin } from './changes/topic-admin.js';
import { Dispatcher } from './claim/dispatcher.js';
import { PayloadDecoder } from './codec/payload-decoder.js';
import { createEnqueuer } from './enqueue/hooked-enqueuer.js';
import { EngineLifecycle } from './lifecycle.js';
import { LimitsAdmin } from './limits/limits-admin.js';
import { JobGraphs } from './lists/job-graphs.js';
import { LogWriter } from './logs/log-writer.js';
import { Pruner } from './maintain/pruner.js';
import { Rescuer } from './maintain/rescuer.js';
import { TableSweepers } from './maintain/table-sweepers.js';
import { WorkerPresence } from './maintain/worker-presence.js';
import { ErrorStats } from './reports/error-stats.js';
import { MetricsRecorder } from './reports/metrics-recorder.js';
import { QueueGauges } from './reports/queue-gauges.js';
import { QueueHealth } from './reports/queue-health.js';
import { QueueStats } from './reports/queue-stats.js';
import { Completer } from './run/completer.js';
import { Heartbeat } from './run/heartbeat.js';
import { JobRunner } from './run/job-runner.js';
import { StepWriter } from './run/job-steps.js';
import { ProgressWriter } from './run/progress-writer.js';
import type { EngineParts } from './runtime/engine-parts.js';
import { EventStream } from './runtime/event-stream.js';
import { FailureLog } from './runtime/failure-log.js';
import { HandlerRegistry } from './runtime/handler-registry.js';
import { LiveWorkers } from './runtime/live-workers.js';
import { logOperation } from './runtime/operation-log.js';
import { WakeSignal } from './runtime/wake-signal.js';
import { ScheduleAdmin } from './schedules/schedule-admin.js';
import { Scheduler } from './schedules/scheduler.js';
import { createHook } from './telemetry/create-hook.js';
import { DeadLetterRoutes } from './topics/dead-letter-routes.js';
import { DefinitionDeclarer } from './topics/definition-declarer.js';
import { KnownTopics } from './topics/known-topics.js';
import { UnhandledTopics } from './topics/unhandled-topics.js';

type Basics = ReturnType<typeof createBasics>;
type Events = ReturnType<typeof createEvents>;
export type Definitions = ReturnType<typeof createDefinitions>;
export type Running = ReturnType<typeof createRunning>;
export type Upkeep = ReturnType<typeof createUpkeep>;

/** Creates the parts that use nothing but the options and the given objects. */
export function createBasics(
  settings: JobsSettings,
  given: Pick<EngineParts, 'store' | 'clock' | 'logger' | 'random' | 'worker'>,
) {
  const { store, clock, logger } = given;
  const failureLog = new FailureLog(clock, logger);
  const stats = new QueueStats({ store, clock, failureLog });
  const gauges = new QueueGauges({ store, clock, stats });
  return {
    ...settings,
    ...given,
    failureLog,
    stats,
    registry: new HandlerRegistry({
      topics: settings.topics,
      isClaiming: settings.role !== 'producer',
      canRunTransactions: store.capabilities.transactionsAtOnce > 0,
      database: store.capabilities.database,
    }),
    gauges,
    hook: createHook(settings, gauges),
  };
}

/** Creates the receivers of events, and `emit`, which passes each event to all of them. */
export function createEvents(basics: Basics) {
  const { hook, logger, stats } = basics;
  const stream = new EventStream(logger);
  const changes = new ChangeFeed(basics);
  const liveWorkers = new LiveWorkers(basics);
  const metrics = new MetricsRecorder({ ...basics, liveWorkers });
  const waiter = new JobWaiter(basics);
  const emit: EngineParts['emit'] = (event) => {
    logOperation(basics, event);
    metrics.record(event);
    changes.markChanged(event.topic);
    hook.onEvent?.(event);
    stream.emit(event);
    waiter.recordEvent(event);
  };
  return { stream, stats, changes, liveWorkers, metrics, waiter, emit };
}

/** Completes the parts that all later steps share. */
export function createSharedParts(basics: Basics, { emit, liveWorkers }: Events): EngineParts {
  return {
    ...basics,
    emit,
    liveWorkers,
    decoder: new PayloadDecoder(basics),
    wakeSignal: new WakeSignal(basics.store),
  };
}

/** Creates the parts that know the topics, and what the code of this process declares for them. */
export function createDefinitions(shared: EngineParts) {
  const deadLetters = new DeadLetterRoutes(shared);
  return {
    deadLetters,
    declarer: new DefinitionDeclarer({ ...shared, deadLetters }),
    knownTopics: new KnownTopics(shared),
    unhandledTopics: new UnhandledTopics(shared),
  };
}

/** Creates the parts that a job passes through: enqueuer, scheduler, dispatcher, runner, and the writers of what a handler does. */
export function createRunning(shared: EngineParts, { declarer, unhandledTopics }: Definitions) {
  const enqueuer = createEnqueuer({ ...shared, unhandledTopics });
  const scheduler = new Scheduler({ ...shared, enqueuer, declarer });
  const writers = {
    completer: new Completer(shared),
    heartbeat: new Heartbeat(shared),
    progressWriter: new ProgressWriter(shared),
    logWriter: new LogWriter(shared),
    stepWriter: new StepWriter(shared),
  };
  const runner = new JobRunner({ ...shared, ...writers });
  const dispatcher = new Dispatcher({ ...shared, runner, declarer });
  return { ...writers, enqueuer, scheduler, runner, dispatcher };
}

/** Creates the background work that keeps the tables in order and the list of live processes up to date. */
export function createUpkeep(
  shared: EngineParts,
  { stats }: Events,
  { declarer }: Definitions,
  { dispatcher, runner, scheduler }: Running,
) {
  const sweepers = new TableSweepers(shared);
  return {
    sweepers,
    rescuer: new Rescuer(shared),
    pruner: new Pruner({ ...shared, declarer, tablesInUse: () => sweepers.inUse }),
    presence: new WorkerPresence({ ...shared, stats, declarer, dispatcher, runner, scheduler, sweepers }),
  };
}

/** Creates the parts through which users change jobs, groups, topics, limits and schedules. */
export function createAdmin(
  shared: EngineParts,
  { changes, stats, waiter }: Events,
  { unhandledTopics }: Definitions,
  { dispatcher, enqueuer, runner, scheduler }: Running,
) {
  const actions = new JobActions({ ...shared, runner, changes });
  return {
    jobs: new JobAdmin({ ...shared, actions, waiter, encoder: enqueuer.encoder }),
    bulk: new BulkActions({ ...shared, actions }),
    groups: new GroupAdmin({ ...shared, actions, enqueuer }),
    topics: new TopicAdmin({ ...shared, stats, dispatcher, changes, unhandledTopics }),
    limits: new LimitsAdmin({ ...shared, changes, unhandledTopics }),
    schedules: new ScheduleAdmin({ ...shared, enqueuer, scheduler }),
    idleWatch: new IdleWatch({ ...shared, enqueuer, dispatcher, runner, unhandledTopics }),
  };
}

/** Creates the lifecycle, which starts and stops all loops. */
export function createLifecycle(
  shared: EngineParts,
  { metrics }: Events,
  { unhandledTopics }: Definitions,
  running: Running,
  { presence, pruner, rescuer, sweepers }: Upkeep,
): EngineLifecycle {
  const { completer, dispatcher, heartbeat, logWriter, progressWriter, runner, scheduler } = running;
  return new EngineLifecycle({
    ...shared,
    completer,
    dispatcher,
    heartbeat,
    runner,
    scheduler,
    presence,
    maintenance: [scheduler, rescuer, pruner, sweepers, unhandledTopics],
    recorders: [metrics, progressWriter, logWriter],
  });
}

/** Creates the reports that no other part uses. */
export function createReports(
  shared: EngineParts,
  { gauges }: Basics,
  { dispatcher, heartbeat }: Running,
  { rescuer }: Upkeep,
  lifecycle: EngineLifecycle,
) {
  const loops = { 'claiming jobs': dispatcher, 'renewing leases': heartbeat, 'rescuing jobs': rescuer };
  return {
    errors: new ErrorStats(shared),
    graphs: new JobGraphs(shared),
    health: new QueueHealth({ ...shared, gauges, lifecycle, loops }),
  };
}
