import type { BulkAction, BulkRequest, BulkResult } from '../../core/bulk.js';
import { BULK_JOBS_MAX } from '../../core/bulk.js';
import type { Actor } from '../../core/job-action.js';
import { JOB_ACTIONS } from '../../core/job-state.js';
import type { JobsEngine } from '../../engine/jobs-engine.js';
import type { FieldTable, FieldValues } from '../../http/request-fields.js';
import { toBulkDto } from '../../http/job-serializer.js';
import { BULK, BULK_FILTER, REQUEUE } from '../../http/requests.js';
import { formatJobs } from '../format.js';
import type { Terminal } from '../terminal.js';
import type { Verb, VerbCall } from '../verb.js';
import type { ExitCode } from '../exit.js';
import { EXIT, UsageError } from '../exit.js';
import { defineVerb, DRY_RUN } from '../verb.js';

const IDS_MAX = 10_000;

const SELECTION =
  'The jobs are named by their ids, or selected by the filter of `list`. A filter selects all jobs that match, in calls of 10,000. ' +
  'Jobs in another status are skipped. When a given id is skipped, the exit code is 1.';

/** The jobs of a call. */
type Selection = Pick<BulkRequest, 'ids' | 'filter'>;

/** Recorded in the jobs. */
const COMMAND_LINE: Actor = { via: 'cli', by: null };

/** Returns failed and cancelled jobs to the queue. */
export const requeue = defineVerb({
  name: 'requeue',
  summary: 'Returns failed and cancelled jobs to the queue, with all their retries',
  args: '[ID…]',
  argsCount: [0, IDS_MAX],
  details: [
    SELECTION,
    'With a filter it asks first. The options payload, run-at and max-retries change one job, named by its id.',
    'With pace the jobs become due one after another, also after this command has ended.',
  ],
  examples: [
    'nestjs-jobs requeue 01994f5e-0000-7000-8000-000000000000',
    'nestjs-jobs requeue --status failed --topic mail --dry-run',
    'nestjs-jobs requeue --status failed --topic mail --pace 50/m',
  ],
  fields: { ...BULK_FILTER, ...REQUEUE, pace: BULK.pace },
  switches: DRY_RUN,
  async run(call) {
    const { payload, runAt, maxRetries, pace, ...filter } = call.values;
    const changes = { payload, runAt, maxRetries };
    const isChanged = Object.values(changes).some((value) => value !== undefined);
    const selection = toSelection('requeue', call.args, filter);
    if (isChanged && selection.ids?.length !== 1) {
      throw new UsageError('payload, run-at and max-retries change one job: pass its id');
    }
    if (isChanged && pace !== undefined) {
      throw new UsageError('pace needs several jobs; payload, run-at and max-retries change one');
    }
    return changeJobs(call, 'requeue', selection, {
      mustAsk: selection.ids === undefined,
      pace,
      ...(isChanged && {
        run: (engine, preview) => requeueChanged(engine, call.args[0]!, changes, preview),
      }),
    });
  },
});

async function requeueChanged(
  engine: JobsEngine,
  id: string,
  changes: FieldValues<typeof REQUEUE>,
  preview: BulkResult,
): Promise<BulkResult> {
  await engine.jobs.requeue(id, changes, COMMAND_LINE);
  return { ...preview, matched: 1, changed: 1 };
}

/** Cancels jobs. */
export const cancel = defineChange('cancel', 'Cancels waiting jobs at once, and asks running jobs to end', [
  'nestjs-jobs cancel 01994f5e-0000-7000-8000-000000000000',
  'nestjs-jobs cancel --topic mail --status pending',
]);

/** Deletes jobs. */
export const deleteJobs = defineChange('delete', 'Deletes jobs that are not running', [
  'nestjs-jobs delete --status cancelled --yes',
]);

function defineChange(action: 'cancel' | 'delete', summary: string, examples: readonly string[]): Verb {
  return defineVerb({
    name: action,
    summary,
    args: '[ID…]',
    argsCount: [0, IDS_MAX],
    details: [SELECTION, 'It asks first.'],
    examples,
    fields: BULK_FILTER,
    switches: DRY_RUN,
    run: (call) => changeJobs(call, action, toSelection(action, call.args, call.values), { mustAsk: true }),
  });
}

/** @throws UsageError unless there are either ids or conditions. */
function toSelection(verb: string, ids: readonly string[], filter: NonNullable<BulkRequest['filter']>): Selection {
  const hasFilter = Object.values(filter).some((value) => value !== undefined);
  if (ids.length > 0 === hasFilter) {
    throw new UsageError(
      `${verb} needs either ids or a filter, such as --status failed; got ${hasFilter ? 'both' : 'neither'}`,
    );
  }
  return hasFilter ? { filter } : { ids };
}

interface ChangeOptions {
  readonly mustAsk: boolean;
  readonly pace?: string | undefined;
  /** Replaces the bulk action. */
  readonly run?: (engine: JobsEngine, preview: BulkResult) => Promise<BulkResult>;
}

/** Counts the jobs, asks, changes them, and prints the result. */
async function changeJobs(
  { isOn, isJson, terminal, confirm, openEngine }: VerbCall<FieldTable, typeof DRY_RUN>,
  action: BulkAction,
  selection: Selection,
  { mustAsk, pace, run = (engine, preview) => runAll(engine, { action, ...selection, pace }, preview) }: ChangeOptions,
): Promise<ExitCode> {
  const isDryRun = isOn('dry-run');
  const engine = await openEngine();
  const preview = await engine.bulk.run({ action, ...selection, dryRun: true });
  const changeable = preview.matched - preview.skipped;
  if (mustAsk && !isDryRun && changeable > 0) {
    const { verb } = JOB_ACTIONS[action];
    const count = `${preview.more ? 'at least ' : ''}${formatJobs(changeable)}`;
    await confirm(`${verb.charAt(0).toUpperCase()}${verb.slice(1)} ${count}?`);
  }
  const result = isDryRun || changeable === 0 ? preview : await run(engine, preview);
  if (isJson) {
    terminal.printJson(toBulkDto(result));
  } else {
    printResult(terminal, action, result, isDryRun);
  }
  return selection.ids && result.skipped > 0 ? EXIT.FAILED : EXIT.DONE;
}

/** Changes the counted jobs, and no other ones, in as many calls as it takes. */
async function runAll(engine: JobsEngine, request: BulkRequest, preview: BulkResult): Promise<BulkResult> {
  const { asOf, more, matched, skipped } = preview;
  const counted = more || request.ids ? Infinity : matched - skipped;
  let sum: BulkResult = { ...preview, changed: 0, nextCursor: null, byTopic: [], sampleIds: [] };
  do {
    const max = Math.min(counted - sum.changed, BULK_JOBS_MAX);
    const last = await engine.bulk.run(
      { ...request, asOf, max, cursor: sum.nextCursor ?? undefined },
      null,
      COMMAND_LINE,
    );
    sum = { ...last, ...addChanges(sum, last), ...addSkipped(sum, last) };
  } while (sum.nextCursor !== null && sum.changed < counted);
  return sum;
}

function addChanges(one: BulkResult, other: BulkResult): Pick<BulkResult, 'changed' | 'byTopic' | 'sampleIds'> {
  const counts = new Map<string, number>();
  [...one.byTopic, ...other.byTopic].forEach(({ topic, count }) => counts.set(topic, count + (counts.get(topic) ?? 0)));
  const byTopic = [...counts].map(([topic, count]) => ({ topic, count })).sort((a, b) => b.count - a.count);
  const sampleIds = one.sampleIds.length > 0 ? one.sampleIds : other.sampleIds;
  return { changed: one.changed + other.changed, byTopic, sampleIds };
}

/** A run meets jobs that its dry run has skipped already, and stops when all others have changed: the larger count of a reason is right. */
function addSkipped(one: BulkResult, other: BulkResult): Pick<BulkResult, 'skipped' | 'skippedReasons'> {
  const byReason = new Map(one.skippedReasons.map((skipped) => [skipped.reason, skipped]));
  for (const skipped of other.skippedReasons) {
    if (skipped.count > (byReason.get(skipped.reason)?.count ?? 0)) {
      byReason.set(skipped.reason, skipped);
    }
  }
  const skippedReasons = [...byReason.values()];
  return { skipped: skippedReasons.reduce((sum, { count }) => sum + count, 0), skippedReasons };
}

function printResult(terminal: Terminal, action: BulkAction, result: BulkResult, isDryRun: boolean): void {
  const { matched, skipped, changed, more, skippedReasons } = result;
  const { verb, done } = JOB_ACTIONS[action];
  const count = `${isDryRun && more ? 'at least ' : ''}${formatJobs(isDryRun ? matched - skipped : changed)}`;
  terminal.print(
    isDryRun ? `would ${verb} ${count}` : `${action === 'cancel' ? 'cancelled or asked to end' : done} ${count}`,
  );
  for (const { reason, count: jobs, ids } of skippedReasons) {
    terminal.print(
      terminal.paint(
        'yellow',
        `skipped ${formatJobs(jobs)}: ${reason} (${ids.join(', ')}${jobs > ids.length ? ', …' : ''})`,
      ),
    );
  }
}
