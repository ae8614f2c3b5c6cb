import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import type { JobStatus } from './job-state.js';
import { parseJobId } from './job-state.js';
import { listOf, oneOf, optional, text } from './option-checks.js';
import { findNearest } from './suggestion.js';

/** What a child does when a parent ends failed, cancelled or deleted. */
export const PARENT_FAILURE_MODES = ['cancel', 'run', 'wait'] as const;

export type OnParentFailure = (typeof PARENT_FAILURE_MODES)[number];

/** Members of a `NewJob` that place it in a graph of jobs. */
export interface JobDependencies {
  /** Names the job for `dependsOn` of other jobs of this call. 1 to 255 characters. */
  ref?: string | undefined;
  /** The jobs for which this one waits: refs of this call, or ids of stored jobs. At most 1,000. */
  dependsOn?: readonly string[] | undefined;
  /**
   * When a parent ends failed, cancelled or deleted: `'cancel'` (the default) cancels this job and its descendants, `'run'` starts it
   * anyway, `'wait'` waits until the parent is re-queued and completes.
   */
  onParentFailure?: OnParentFailure | undefined;
}

/** A parent of a job, as `job.parents()` returns it. */
export interface ParentJob<R = unknown> {
  readonly id: string;
  /** The ref with which the child named it; `null` if the child named its id. */
  readonly ref: string | null;
  /** `null` if the parent is deleted. */
  readonly topic: string | null;
  readonly status: JobStatus | 'deleted';
  readonly result: R | null;
  readonly lastError: string | null;
}

/** A job in a graph of jobs. */
export interface GraphNode {
  readonly id: string;
  /** `null` if the job is deleted. */
  readonly topic: string | null;
  readonly status: JobStatus | 'deleted';
}

/** A dependency between two jobs in a graph. */
export interface GraphLink {
  readonly parentId: string;
  readonly childId: string;
  readonly onParentFailure: OnParentFailure;
  /** Whether the child still waits for the parent. */
  readonly isOpen: boolean;
}

/** The jobs that a job depends on and those that depend on it, at any distance. */
export interface JobGraph {
  readonly nodes: readonly GraphNode[];
  readonly links: readonly GraphLink[];
  /** The graph has more jobs than these. */
  readonly isCut: boolean;
}

export const GRAPH_NODES_MAX = 500;

/** One parent of one job of a call. */
export interface Dependency {
  /** Index of the child in the call. */
  readonly child: number;
  /** Index of the parent in the call, or the id of a stored job. */
  readonly parent: number | string;
  /** The ref by which the child names the parent; `null` for an id. */
  readonly ref: string | null;
  readonly mode: OnParentFailure;
  /** `jobs[2].dependsOn[0]`. */
  readonly path: string;
}

/** Describes the members for requests. {@link readDependencies} checks them together. */
export const DEPENDENCY_OPTIONS = {
  ref: optional(text(255), 'names the job for depends_on of other jobs of the request'),
  dependsOn: optional(
    listOf(text(255), { canBeEmpty: true }),
    'refs of the request, or ids of stored jobs, for which the job waits',
  ),
  onParentFailure: optional(oneOf(...PARENT_FAILURE_MODES), "when a parent fails or is deleted; default 'cancel'"),
};

/** Parents of one job. */
export const PARENTS_MAX = 1_000;
/** Jobs of a call with dependencies, and members of a group that one call adds. */
const LINKED_JOBS_MAX = 10_000;
/** Dependencies of a call: PostgreSQL and SQLite store them within one to two seconds, in one transaction. */
const DEPENDENCIES_MAX = 50_000;
const REF_LENGTH_MAX = 255;

/** Whether the job names other jobs or has a name for them. */
export function isLinked({ ref, dependsOn, onParentFailure }: JobDependencies): boolean {
  return ref !== undefined || dependsOn !== undefined || onParentFailure !== undefined;
}

/**
 * Finds the parents of each job of a call.
 *
 * @throws InvalidOptionsError for an unknown or repeated ref, a wrong id, too many parents, dependencies or jobs, and a cycle, with its whole path.
 */
export function readDependencies(jobs: readonly JobDependencies[]): readonly Dependency[] {
  if (jobs.length > LINKED_JOBS_MAX) {
    throw new InvalidOptionsError(
      'jobs',
      `expected at most ${LINKED_JOBS_MAX} jobs in a call with dependencies, got ${jobs.length}`,
    );
  }
  checkDependencyCount(jobs, DEPENDENCIES_MAX);
  const refs = readRefs(jobs);
  const dependencies = jobs.flatMap((job, child) => readParents(job, child, refs));
  const cycle = findCycle(jobs.length, dependencies);
  if (cycle) {
    const names = cycle.map((index) => jobs[index]!.ref ?? `jobs[${index}]`);
    throw new InvalidOptionsError(`jobs[${cycle[0]!}].dependsOn`, `is a cycle: ${names.join(' → ')}`);
  }
  return dependencies;
}

/** @throws InvalidOptionsError when the jobs of a call name more parents than this, all together. */
export function checkDependencyCount(jobs: readonly JobDependencies[], max: number): void {
  const count = jobs.reduce((sum, { dependsOn }) => sum + (Array.isArray(dependsOn) ? dependsOn.length : 0), 0);
  if (count > max) {
    throw new InvalidOptionsError(
      'jobs',
      `expected at most ${max} dependencies in a call, got ${count}; split the call, or let jobs wait for one that joins the others`,
    );
  }
}

function readRefs(jobs: readonly JobDependencies[]): Map<string, number> {
  const refs = new Map<string, number>();
  jobs.forEach(({ ref }, index) => {
    if (ref === undefined) {
      return;
    }
    const path = `jobs[${index}].ref`;
    if (typeof ref !== 'string' || ref.length === 0 || ref.length > REF_LENGTH_MAX) {
      throw new InvalidOptionsError(
        path,
        `expected text of 1 to ${REF_LENGTH_MAX} characters, got ${describeValue(ref)}`,
      );
    }
    if (refs.has(ref)) {
      throw new InvalidOptionsError(path, `'${ref}' is the ref of jobs[${refs.get(ref)!}] too`);
    }
    refs.set(ref, index);
  });
  return refs;
}

function readParents(job: JobDependencies, child: number, refs: ReadonlyMap<string, number>): Dependency[] {
  const { dependsOn = [], onParentFailure = 'cancel' } = job;
  const path = `jobs[${child}].dependsOn`;
  if (!PARENT_FAILURE_MODES.includes(onParentFailure)) {
    throw new InvalidOptionsError(
      `jobs[${child}].onParentFailure`,
      `expected 'cancel', 'run' or 'wait', got ${describeValue(onParentFailure)}`,
    );
  }
  if (!Array.isArray(dependsOn)) {
    throw new InvalidOptionsError(path, `expected a list of refs or ids, got ${describeValue(dependsOn)}`);
  }
  if (dependsOn.length > PARENTS_MAX) {
    throw new InvalidOptionsError(path, `expected at most ${PARENTS_MAX} parents, got ${dependsOn.length}`);
  }
  const parents = new Map<number | string, Dependency>();
  (dependsOn as readonly unknown[]).forEach((name, position) => {
    const memberPath = `${path}[${position}]`;
    const parent = readParent(name, refs, memberPath);
    const ref = typeof parent === 'number' ? (name as string) : null;
    // A parent that is named twice counts once.
    parents.set(parent, parents.get(parent) ?? { child, parent, ref, mode: onParentFailure, path: memberPath });
  });
  return [...parents.values()];
}

function readParent(name: unknown, refs: ReadonlyMap<string, number>, path: string): number | string {
  const parent = refs.get(name as string) ?? parseJobId(name);
  if (parent === undefined) {
    throw new InvalidOptionsError(
      path,
      typeof name === 'string'
        ? `no job of this call has the ref '${name}', and it is not an id${suggestRef(name, refs)}`
        : `expected a ref or an id, got ${describeValue(name)}`,
    );
  }
  return parent;
}

function suggestRef(name: string, refs: ReadonlyMap<string, number>): string {
  const nearest = findNearest(name, [...refs.keys()]);
  return nearest === undefined ? '' : `; did you mean '${nearest}'?`;
}

/** Returns the indexes along a cycle, its first index again at the end. Walks without recursion: a chain may have 10,000 jobs. */
function findCycle(count: number, dependencies: readonly Dependency[]): number[] | undefined {
  const parents: number[][] = Array.from({ length: count }, () => []);
  dependencies.forEach(({ child, parent }) => typeof parent === 'number' && parents[child]!.push(parent));
  const isDone = new Array<boolean>(count).fill(false);
  for (let start = 0; start < count; start += 1) {
    const cycle = walk(start, parents, isDone);
    if (cycle) {
      return cycle;
    }
  }
  return undefined;
}

function walk(start: number, parents: readonly (readonly number[])[], isDone: boolean[]): number[] | undefined {
  const path = isDone[start] ? [] : [start];
  const next = [0];
  const isOnPath = new Set(path);
  while (path.length > 0) {
    const job = path.at(-1)!;
    const parent = parents[job]![next[path.length - 1]!++];
    if (parent === undefined) {
      isDone[job] = true;
      isOnPath.delete(job);
      path.pop();
      next.length = path.length;
    } else if (isOnPath.has(parent)) {
      return [...path.slice(path.indexOf(parent)), parent];
    } else if (!isDone[parent]) {
      path.push(parent);
      next[path.length - 1] = 0;
      isOnPath.add(parent);
    }
  }
  return undefined;
}
