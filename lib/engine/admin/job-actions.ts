import { DatabaseRefusedError } from '../../core/errors.js';
import type { JobAction } from '../../core/job-state.js';
import { JOB_ACTIONS } from '../../core/job-state.js';
import type { ActionResult, RequeueChanges, Statuses } from '../../store/job-store.js';
import type { EngineParts } from '../engine-parts.js';
import { logMove } from '../operation-log.js';
import type { JobRunner } from '../run/job-runner.js';
import type { ChangeFeed } from './change-feed.js';

type JobActionsParts = Pick<EngineParts, 'store' | 'logger' | 'retention' | 'wakeSignal' | 'emit'> & {
  readonly runner: JobRunner;
  readonly changes: ChangeFeed;
};

/** Moves jobs by request, and lets everybody know who has to. */
export class JobActions {
  constructor(private readonly options: JobActionsParts) {}

  /** What became of each, in the order of `ids`. `changes` are for re-queued ones; those in other statuses than `from` stay. */
  async move(
    action: JobAction,
    ids: readonly string[],
    { changes, from = null }: { changes?: RequeueChanges | undefined; from?: Statuses } = {},
  ): Promise<ActionResult[]> {
    const { store } = this.options;
    const answers = await (action === 'requeue' ? store.requeue(ids, changes, from) : store[action](ids, from));
    this.logRefusals(action, answers);
    const moved = answers.filter((answer) => answer.moved);
    moved.forEach((job) => this.told(action, job));
    if (action === 'cancel') {
      await this.discard(moved);
    }
    const topics = new Set(moved.map(({ topic }) => topic!));
    topics.forEach((topic) => {
      this.options.changes.touch(topic);
      if (action === 'requeue' || action === 'promote') {
        this.options.wakeSignal.announce([topic]);
      }
    });
    return answers;
  }

  /** Waiting jobs that were cancelled and are not to be kept; left to the pruner when that fails. */
  private async discard(moved: readonly ActionResult[]): Promise<void> {
    const ended = moved.filter(({ status }) => status === 'cancelled');
    if (ended.length > 0 && this.options.retention.cancelled === 0) {
      await this.options.store.discard(ended, ['cancelled']).catch(() => undefined);
    }
  }

  /** Callers from outside are not told what the database has against it: that may name tables and values. */
  private logRefusals(action: JobAction, answers: readonly ActionResult[]): void {
    const refused = answers.filter(({ obstacle }) => obstacle instanceof DatabaseRefusedError);
    const [first, ...others] = refused;
    if (first) {
      const jobs = others.length === 0 ? `job ${first.id}` : `job ${first.id} and ${others.length} more`;
      this.options.logger.warn(
        `the database refuses to ${JOB_ACTIONS[action].verb} ${jobs}: ${first.obstacle!.message}`,
      );
    }
  }

  private told(action: JobAction, job: ActionResult): void {
    const { logger, emit, runner } = this.options;
    if (action !== 'cancel') {
      logMove(logger, JOB_ACTIONS[action].done, job);
    } else if (job.status === 'processing') {
      logMove(logger, 'cancel requested', job);
      runner.abortCancelled(job);
    } else {
      emit({ type: 'cancelled', id: job.id, topic: job.topic!, attempt: job.attempt, durationMs: null });
    }
  }
}
