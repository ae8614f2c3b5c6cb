import { SvelteMap, SvelteSet } from 'svelte/reactivity';
import type { Job, RequeueOptions } from '../../../client/index.js';
import { JobsApiError } from '../../../client/index.js';
import { messages } from '../messages/messages.js';
import { topicName } from '../text/visible-text.js';
import { toHref } from '../route/router.svelte.js';
import type { ActionName } from './job-actions.js';
import { notices } from './notices.svelte.js';
import { questions } from './questions.svelte.js';
import { serverClock } from './server-clock.svelte.js';
import { api } from './session.svelte.js';

/** How long a deletion can be taken back. */
const UNDO_MS = 5_000;

/** What the reader does to single jobs. */
class JobMoves {
  /** As the API last answered to a move: newer than what a screen may have fetched before. */
  readonly moved = new SvelteMap<string, Job>();
  /** Will be deleted unless that is taken back. */
  readonly leaving = new SvelteSet<string>();
  readonly deleted = new SvelteSet<string>();
  readonly #deletions = new Map<string, () => void>();

  constructor() {
    addEventListener('pagehide', () => this.settle());
  }

  /** Sends the pending deletions at once: the user leaves the page. */
  settle(): void {
    this.#deletions.forEach((deleteNow) => deleteNow());
  }

  async run(action: ActionName, job: Job): Promise<void> {
    if (action === 'requeue') await this.requeue(job);
    else if (action === 'promote') await this.promote(job);
    else if (action === 'cancel') await this.cancel(job);
    else this.delete(job);
  }

  /** For a keyboard shortcut: users press a key by mistake more easily than a button. */
  async askToRequeue(job: Job): Promise<void> {
    const title = messages.forms.requeueTitle(toShortName(job));
    const { requeueText: text, labels } = messages.actions;
    if (await questions.ask({ title, text, verb: labels.requeue, isSafe: true })) await this.requeue(job);
  }

  /** @throws JobsApiError when the API refuses changes that the reader has written */
  async requeue(job: Job, changes?: RequeueOptions): Promise<void> {
    await this.#requeue(job, changes, changes !== undefined);
  }

  async #requeue(job: Job, changes?: RequeueOptions, isThrowing = false): Promise<void> {
    const requeued = await this.#tried(job, api.requeue(job.id, changes), isThrowing);
    if (requeued)
      notices.show({
        text: messages.actions.requeued(toShortName(job)),
        tone: 'neutral',
        href: toHref({ screen: 'job', id: job.id }),
      });
  }

  async promote(job: Job): Promise<void> {
    const promoted = await this.#tried(job, api.promote(job.id));
    if (promoted) notices.say(messages.actions.madeDue(toShortName(job)));
  }

  async cancel(job: Job): Promise<void> {
    if (job.status === 'processing' && !(await this.#mayStop(job))) return;
    const cancelled = await this.#tried(job, api.cancel(job.id));
    if (!cancelled) return;
    if (cancelled.status === 'cancelled') {
      // Due when it was, as far as that is still to come. The jobs that waited for it wait again.
      const { run_at } = cancelled;
      const isLater = run_at !== null && Date.parse(run_at) > serverClock.now;
      const changes = { dependants: true, ...(isLater && { run_at }) };
      const undo = (): void => void this.#requeue(cancelled, changes);
      notices.show({ text: messages.actions.cancelled(toShortName(job)), tone: 'neutral', undo });
    } else {
      notices.say(messages.actions.askedToStop(toShortName(job)));
    }
  }

  /** A little later, so that it can be taken back until then. */
  delete(job: Job): void {
    if (this.leaving.has(job.id)) return;
    this.leaving.add(job.id);
    const end = (): void => {
      clearTimeout(timer);
      removeNotice();
      this.#deletions.delete(job.id);
    };
    const undo = (): void => {
      end();
      this.leaving.delete(job.id);
    };
    const deleteNow = (): void => {
      end();
      void this.#delete(job);
    };
    const timer = setTimeout(deleteNow, UNDO_MS);
    const text = messages.actions.deleting(toShortName(job));
    const removeNotice = notices.show({ text, tone: 'neutral', undo }, UNDO_MS);
    this.#deletions.set(job.id, deleteNow);
  }

  async #delete(job: Job): Promise<void> {
    try {
      // A single request, so that it also works while the page closes.
      const { changed } = await api.bulk({ action: 'delete', ids: [job.id], asOf: toMoment(job) });
      if (changed > 0) {
        this.deleted.add(job.id);
        notices.say(messages.actions.deleted(toShortName(job)));
      } else {
        await this.#explainKept(job);
      }
    } catch (error) {
      await this.#complain(job, error);
    }
    this.leaving.delete(job.id);
  }

  /** Says why a job was not deleted: it has changed since it was shown, or it is gone. */
  async #explainKept(job: Job): Promise<void> {
    try {
      const now = await api.get(job.id);
      this.moved.set(job.id, now);
      const requeued = now.actions.findLast(({ action }) => action === 'requeue' || action === 'edit');
      const isRequeued = requeued !== undefined && requeued.time > job.updated;
      const { keptRequeued, keptChanged, statuses } = messages.actions;
      const name = toShortName(job);
      notices.fail(isRequeued ? keptRequeued(name, requeued.by) : keptChanged(name, statuses[now.status]));
    } catch (error) {
      if (!(error instanceof JobsApiError && error.status === 404)) throw error;
      this.deleted.add(job.id);
      notices.say(messages.actions.deleted(toShortName(job)));
    }
  }

  async #complain(job: Job, error: unknown): Promise<void> {
    notices.complain(error);
    await this.#refetch(job, error);
  }

  /** A job whose move the API refuses may have changed since it was shown. */
  async #refetch(job: Job, error: unknown): Promise<void> {
    if (!(error instanceof JobsApiError && (error.status === 409 || error.status === 404))) return;
    try {
      this.moved.set(job.id, await api.get(job.id));
    } catch (thrown) {
      if (thrown instanceof JobsApiError && thrown.status === 404) this.deleted.add(job.id);
    }
  }

  #mayStop(job: Job): Promise<boolean> {
    return questions.ask({
      title: messages.actions.stopTitle,
      text: messages.actions.stopText(toShortName(job)),
      verb: messages.actions.stop,
    });
  }

  async #tried(job: Job, call: Promise<Job>, isThrowing = false): Promise<Job | undefined> {
    try {
      const moved = await call;
      this.moved.set(job.id, moved);
      return moved;
    } catch (error) {
      if (isThrowing) {
        await this.#refetch(job, error);
        throw error;
      }
      await this.#complain(job, error);
      return undefined;
    }
  }
}

export const jobMoves = new JobMoves();

/** `send_receipt …e91310` */
function toShortName({ topic, id }: Job): string {
  return `${topicName(topic)} …${id.slice(-6)}`;
}

/** Returns the time of the last change that the user has seen, to the end of its millisecond: the API sends no microseconds. */
function toMoment({ updated, finished }: Job): string {
  const last = finished !== null && finished > updated ? finished : updated;
  return last.replace(/Z$/, '999Z');
}
