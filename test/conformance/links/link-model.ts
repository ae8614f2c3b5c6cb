/** How a parent ends. A group is `failing` from its first failed member on. */
export type End = 'completed' | 'failed' | 'cancelled' | 'deleted' | 'failing';
export type Mode = 'cancel' | 'run' | 'wait' | 'member' | 'failure';

export interface ModelJob {
  readonly id: string;
  readonly maxRetries: number;
  status: 'pending' | 'processing' | 'completed' | 'failed' | 'cancelled';
  isBlocked: boolean;
  isCancelRequested: boolean;
  attempt: number;
  retries: number;
  lastError: string | null;
  /** Whether a parent or a group has cancelled it, and nobody has re-queued it since. */
  isEndedByParent: boolean;
}

export interface ModelLink {
  readonly parent: string;
  readonly child: string;
  readonly mode: Mode;
  outcome: End | null;
}

interface ModelGroup {
  readonly id: string;
  isFinished: boolean;
  /** A member has failed, whatever became of it since. */
  isFailing?: boolean;
}

/** What the guide says about dependencies and groups, for one caller at a time. */
export class LinkModel {
  readonly jobs = new Map<string, ModelJob>();
  readonly groups = new Map<string, ModelGroup>();
  readonly links: ModelLink[] = [];
  /** Each job that a parent has cancelled since the last comparison, with the errors that it may have. */
  readonly newErrors = new Map<string, Set<string>>();

  insert(id: string, maxRetries: number): ModelJob {
    const members = { isBlocked: false, isCancelRequested: false, isEndedByParent: false };
    const job: ModelJob = { id, maxRetries, status: 'pending', attempt: 0, retries: 0, lastError: null, ...members };
    this.jobs.set(id, job);
    return job;
  }

  link(parent: string, child: string, mode: Mode): void {
    if (!this.links.some((link) => link.parent === parent && link.child === child)) {
      this.links.push({ parent, child, mode, outcome: null });
    }
    const job = this.jobs.get(child);
    if (job) job.isBlocked = true;
  }

  due(): ModelJob[] {
    return [...this.jobs.values()].filter(({ status, isBlocked }) => status === 'pending' && !isBlocked);
  }

  running(): ModelJob[] {
    return [...this.jobs.values()].filter(({ status }) => status === 'processing');
  }

  waitingOn({ id, isBlocked, status }: ModelJob): number {
    const open = this.links.filter(({ child, outcome }) => child === id && outcome === null);
    return isBlocked && status === 'pending' ? open.length : 0;
  }

  /** Ends parents at the same moment. A child with a parent that cancels it is cancelled, whatever its other parents do. */
  end(ended: readonly { readonly id: string; readonly as: End; readonly errors?: ReadonlySet<string> }[]): void {
    for (let level = ended; level.length > 0;) {
      const closed = level.flatMap(({ id, as, errors }) => this.close(id, as, errors ?? new Set([parentError(id)])));
      const groups = new Set(closed.filter(({ link }) => link.mode === 'member').map(({ link }) => link.child));
      const next = [...groups].flatMap((group) => this.endMembers(group, closed));
      const children = new Set(closed.filter(({ link }) => link.mode !== 'member').map(({ link }) => link.child));
      level = [...next, ...[...children].flatMap((child) => this.endChild(child, closed))];
    }
  }

  /** Re-queues a job. It then waits for no parent, and those that still wait for others wait for it again. */
  requeue(job: ModelJob): boolean {
    const isChanged = job.status === 'failed' || job.status === 'cancelled';
    if (isChanged) {
      const flags = { isBlocked: false, isCancelRequested: false, isEndedByParent: false };
      Object.assign(job, { status: 'pending', retries: 0, ...flags });
      this.reopen(job.id);
    }
    return isChanged;
  }

  /** Re-queues a job, and its descendants that a parent has cancelled, unless another parent would cancel them again. */
  requeueDependants(root: ModelJob): string[] {
    const again = this.requeue(root) ? [root.id] : [];
    for (let isChanged = true; isChanged;) {
      isChanged = false;
      for (const job of this.jobs.values()) {
        if (!again.includes(job.id) && this.isCancelledBecauseOf(job, again)) {
          Object.assign(job, {
            status: 'pending',
            isBlocked: true,
            isCancelRequested: false,
            isEndedByParent: false,
            retries: 0,
            lastError: null,
          });
          again.push(job.id);
          this.reopen(job.id);
          isChanged = true;
        }
      }
    }
    const dependants = again.slice(1);
    for (const link of this.links.filter(({ child, outcome }) => dependants.includes(child) && outcome !== null)) {
      const isCompleted = this.jobs.get(link.parent)?.status === 'completed';
      link.outcome = this.isUnfinished(link.parent) ? null : isCompleted ? 'completed' : link.outcome;
    }
    return dependants;
  }

  /** Removes jobs, and ends their links. */
  remove(ids: readonly string[]): void {
    ids.forEach((id) => this.jobs.delete(id));
    this.end(ids.map((id) => ({ id, as: 'deleted' as const })));
  }

  /** Removes finished jobs that no unfinished child may read. */
  prune(): number {
    const gone = [...this.jobs.values()].filter(
      ({ id }) =>
        !this.isUnfinished(id) && !this.links.some(({ parent, child }) => parent === id && this.isUnfinished(child)),
    );
    gone.forEach(({ id }) => this.jobs.delete(id));
    return gone.length;
  }

  /** A parent that does not exist any more has been deleted. */
  repair(): void {
    const lost = this.links.filter(
      ({ parent, outcome }) => outcome === null && !this.jobs.has(parent) && !this.groups.has(parent),
    );
    this.end([...new Set(lost.map(({ parent }) => parent))].map((id) => ({ id, as: 'deleted' as const })));
  }

  private close(parent: string, as: End, errors: ReadonlySet<string>): ClosedLink[] {
    const isClosed = ({ mode }: ModelLink): boolean =>
      (mode !== 'wait' || as === 'completed' || as === 'deleted') && (as !== 'failing' || mode === 'failure');
    const closed = this.links.filter((link) => link.parent === parent && link.outcome === null && isClosed(link));
    closed.forEach((link) => (link.outcome = as));
    return closed.map((link) => ({ link, errors }));
  }

  private endMembers(
    id: string,
    closed: readonly ClosedLink[],
  ): { id: string; as: End; errors: ReadonlySet<string> }[] {
    const group = this.groups.get(id)!;
    const members = this.links.filter(({ child }) => child === id);
    const isFailing = closed.some(({ link }) => link.child === id && link.outcome === 'failed');
    group.isFailing = group.isFailing === true || isFailing;
    if (!group.isFinished && members.every(({ outcome }) => outcome !== null)) {
      group.isFinished = true;
      return [this.groupEnd(id)];
    }
    return isFailing && !group.isFinished ? [{ id, as: 'failing', errors: new Set() }] : [];
  }

  groupEnd(id: string): { id: string; as: End; errors: ReadonlySet<string> } {
    const outcomes = this.links.filter(({ child }) => child === id).map(({ outcome }) => outcome);
    if (this.groups.get(id)!.isFailing || outcomes.includes('failed'))
      return { id, as: 'failed', errors: new Set([`group ${id} failed`]) };
    const isCompleted = outcomes.every((outcome) => outcome === 'completed');
    const error = `no member of group ${id} failed`;
    return isCompleted
      ? { id, as: 'completed', errors: new Set([error]) }
      : { id, as: 'cancelled', errors: new Set([`${error}, but not all completed`]) };
  }

  private endChild(id: string, closed: readonly ClosedLink[]): { id: string; as: End; errors: ReadonlySet<string> }[] {
    const job = this.jobs.get(id);
    const cancelling = closed.filter(({ link }) => link.child === id && cancels(link));
    const errors = new Set(cancelling.flatMap((each) => [...each.errors]));
    if (job?.status !== 'pending' || !job.isBlocked) {
      // It was cancelled a moment ago, and may name this parent just as well.
      errors.forEach((error) => this.newErrors.get(id)?.add(error));
      return [];
    }
    if (errors.size > 0) {
      this.newErrors.set(id, errors);
      Object.assign(job, { status: 'cancelled', isBlocked: false, isEndedByParent: true });
      return [{ id, as: 'cancelled', errors }];
    }
    if (this.waitingOn(job) === 0) job.isBlocked = false;
    return [];
  }

  private reopen(parent: string): void {
    const isWaiting = (id: string): boolean =>
      this.jobs.get(id)?.isBlocked === true || this.groups.get(id)?.isFinished === false;
    for (const link of this.links) {
      if (link.parent === parent && isWaiting(link.child)) link.outcome = null;
    }
  }

  private isCancelledBecauseOf(job: ModelJob, again: readonly string[]): boolean {
    const mine = this.links.filter(({ child, mode }) => child === job.id && mode === 'cancel').filter(cancels);
    return (
      job.status === 'cancelled' &&
      job.isEndedByParent &&
      mine.some(({ parent }) => again.includes(parent)) &&
      mine.every(({ parent }) => this.isUnfinished(parent) || this.jobs.get(parent)?.status === 'completed')
    );
  }

  private isUnfinished(id: string): boolean {
    const status = this.jobs.get(id)?.status;
    return status === 'pending' || status === 'processing';
  }
}

interface ClosedLink {
  readonly link: ModelLink;
  readonly errors: ReadonlySet<string>;
}

function cancels({ mode, outcome }: ModelLink): boolean {
  if (outcome === null) return false;
  switch (mode) {
    case 'cancel':
      return outcome !== 'completed';
    case 'wait':
      return outcome === 'deleted';
    case 'failure':
      return outcome !== 'failed' && outcome !== 'failing';
    default:
      return false;
  }
}

function parentError(id: string): string {
  return `parent ${id} failed`;
}
