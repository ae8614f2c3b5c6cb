import type { NewJob } from 'nestjs-jobs';
import type { Dice } from '../dice.js';
import type { Load, LoadLink } from '../protocol.js';
import { DOOMED } from '../protocol.js';

const WORK_MS = [10, 60] as const;
const SPECIAL_SHARE = 0.4;

type Callback = 'onSuccess' | 'onFinish' | 'onFailure';
export type LoadJob = NewJob<Load> & { readonly payload: Load };

/** Jobs for one call. With callbacks they are a group. */
export interface Graph {
  readonly jobs: readonly LoadJob[];
  readonly callbacks?: Readonly<Record<Callback, LoadJob>>;
  /** Whether all of its jobs complete, however often they are killed. */
  readonly isSteady: boolean;
}

/** The parents of each job, by index. */
type Shape = (count: number) => readonly (readonly number[])[];

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);
const shapeOf =
  (parentsOf: (index: number, count: number) => readonly number[]): Shape =>
  (count) =>
    range(0, count).map((index) => parentsOf(index, count));

const shapes: Readonly<Record<'chain' | 'fan-in' | 'fan-out' | 'diamond', Shape>> = {
  chain: shapeOf((index) => (index === 0 ? [] : [index - 1])),
  'fan-in': shapeOf((index, count) => (index < count - 1 ? [] : range(0, index))),
  'fan-out': shapeOf((index) => (index === 0 ? [] : [0])),
  diamond: shapeOf((index, count) => (index === 0 ? [] : index < count - 1 ? [0] : range(1, index))),
};

/** A graph of a random shape, in which one job may fail for good. Only a job that is re-queued can be waited for. */
export function randomGraph(dice: Dice, name: string, topics: readonly string[]): Graph {
  const isGroup = dice.chance(0.4);
  const shape = dice.pick(isGroup ? [shapes['fan-out'], shapeOf(() => [])] : Object.values(shapes));
  const parents = shape(dice.whole(3, 6));
  const special = dice.chance(SPECIAL_SHARE) ? dice.pick(['fragile', DOOMED]) : null;
  const at = dice.whole(0, parents.length - 1);
  // The parents of one job often end at the same moment.
  const ms = dice.whole(...WORK_MS);
  const modes = special === DOOMED ? (['cancel', 'run'] as const) : (['cancel', 'run', 'wait'] as const);
  const nameOf = (index: number): string => `${name}.${index}`;
  const group = isGroup ? { group: name } : {};
  const jobs = parents.map((each, index): LoadJob => {
    const isSpecial = special !== null && index === at;
    const mode = dice.pick(modes);
    return {
      ref: nameOf(index),
      topic: isSpecial ? special : dice.pick(topics),
      ...(isSpecial ? { maxRetries: 0 } : {}),
      ...(each.length > 0 ? { dependsOn: each.map(nameOf), onParentFailure: mode } : {}),
      payload: load(nameOf(index), ms, { parents: each.map(nameOf), mode, ...group }),
    };
  });
  const callback = (mode: Callback): LoadJob => ({
    topic: 'complete_tx',
    payload: load(`${name}.${mode}`, ms, { parents: jobs.map(({ payload }) => payload.n), mode, ...group }),
  });
  const callbacks = {
    onSuccess: callback('onSuccess'),
    onFinish: callback('onFinish'),
    onFailure: callback('onFailure'),
  };
  return { jobs, isSteady: special === null, ...(isGroup ? { callbacks } : {}) };
}

/** A child of a stored job, which may have ended meanwhile. */
export function lateChild(dice: Dice, n: string, parent: { readonly n: string; readonly id: string }): LoadJob {
  const mode = dice.pick(['cancel', 'run'] as const);
  return {
    topic: 'complete_tx',
    dependsOn: [parent.id],
    onParentFailure: mode,
    payload: load(n, dice.whole(...WORK_MS), { parents: [parent.n], mode }),
  };
}

function load(n: string, ms: number, link: LoadLink): Load {
  return { n, ms, obeys: false, link };
}
