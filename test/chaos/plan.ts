import type { Run } from './campaign.js';
import { faults } from './faults/faults.js';
import { failoverWithLoss } from './faults/failover.js';
import type { Fault, Kind, Reach } from './faults/fault.js';
import { kill } from './faults/kill.js';
import { limitedLoad } from './faults/limits-under-kills.js';
import { linkedLoad, linksUnderKills } from './faults/links-under-kills.js';
import { killAfterTicks, killAtTicks } from './faults/kill-at-ticks.js';
import { killBeforeDeadLetters } from './faults/kill-before-follow-ups.js';
import { pause } from './faults/pause.js';
import { rollingDeployment } from './faults/rolling-deployment.js';
import { terminateBackends } from './faults/terminate-backends.js';
import { mutants } from './mutants/mutants.js';

export interface PlanOptions {
  readonly isQuick: boolean;
  /** Parts of the names of faults, mutants or databases. */
  readonly only?: readonly string[];
  /** How much of each reach. */
  readonly share?: number;
}

export const kinds: readonly Kind[] = ['postgres', 'sqlite'];

interface Light {
  readonly mutant: string;
  readonly fault: Fault;
  readonly strikes: number;
  readonly on: readonly Kind[];
  readonly handlerMs?: readonly [number, number];
  /** Where it is tried in the quick campaign, too. */
  readonly quicklyOn?: Kind;
}

/** So long that a second attempt still runs when the first one comes back from its pause. */
const LONG_MS = [500, 1_500] as const;

/** The fault that brings each mutant to light. */
const lights: readonly Light[] = [
  { mutant: 'no rescue', fault: kill, strikes: 3, on: kinds, quicklyOn: 'sqlite' },
  { mutant: 'completion by id', fault: pause, strikes: 6, on: kinds, quicklyOn: 'postgres' },
  { mutant: 'completion by id and status', fault: pause, strikes: 10, on: kinds, handlerMs: LONG_MS },
  { mutant: 'attempt reset on requeue', fault: pause, strikes: 6, on: kinds },
  { mutant: 'no start marks', fault: kill, strikes: 12, on: kinds },
  { mutant: 'app clock', fault: kill, strikes: 2, on: kinds, quicklyOn: 'sqlite' },
  { mutant: 'no re-LISTEN', fault: terminateBackends, strikes: 25, on: ['postgres'] },
  { mutant: 'effect outside the transaction', fault: kill, strikes: 6, on: ['postgres'], quicklyOn: 'postgres' },
  { mutant: 'cursor without compare', fault: killAtTicks, strikes: 3, on: kinds, quicklyOn: 'postgres' },
  { mutant: 'random job id', fault: killAfterTicks, strikes: 20, on: kinds },
  { mutant: 'cursor moved before the insert', fault: killAfterTicks, strikes: 20, on: kinds },
  { mutant: 'limits without the lock', fault: limitedLoad, strikes: 10, on: ['postgres'], quicklyOn: 'postgres' },
  { mutant: 'limits without the stamp', fault: limitedLoad, strikes: 10, on: ['postgres'] },
  { mutant: 'limits counted before the lock', fault: limitedLoad, strikes: 10, on: kinds },
  { mutant: 'limits counted by each process', fault: limitedLoad, strikes: 10, on: kinds, quicklyOn: 'sqlite' },
  { mutant: 'a window that ends too early', fault: limitedLoad, strikes: 10, on: kinds, quicklyOn: 'postgres' },
  { mutant: 'a window without the hand-over', fault: limitedLoad, strikes: 10, on: kinds, quicklyOn: 'sqlite' },
  { mutant: 'handlers that start late', fault: limitedLoad, strikes: 10, on: kinds, quicklyOn: 'postgres' },
  { mutant: 'holders without a mark', fault: linksUnderKills, strikes: 6, on: kinds, quicklyOn: 'sqlite' },
  { mutant: 'open parents not seen', fault: linkedLoad, strikes: 4, on: kinds, quicklyOn: 'postgres' },
  {
    mutant: 'follow-ups forgotten after a crash',
    fault: killBeforeDeadLetters,
    strikes: 6,
    on: kinds,
    quicklyOn: 'sqlite',
  },
  { mutant: 'the last start wins', fault: rollingDeployment, strikes: 1, on: kinds, quicklyOn: 'postgres' },
  {
    mutant: 'commits that do not wait for the standby',
    fault: failoverWithLoss,
    strikes: 1,
    on: ['postgres'],
    quicklyOn: 'postgres',
  },
];

/** Every fault on every database it is meant for. */
export function plannedRuns({ isQuick, only, share = 1 }: PlanOptions): Run[] {
  const runs = faults.flatMap((fault) =>
    kinds.flatMap((kind): Run[] => {
      const reach = (isQuick ? fault.quick : fault.full)[kind];
      return reach ? [{ fault, kind, reach: shareOf(reach, share) }] : [];
    }),
  );
  return runs.filter(({ fault, kind }) => isMeant(only, fault.name, kind));
}

/** The mutants, each under the fault that brings it to light. */
export function plannedMutants({ isQuick, only }: PlanOptions): Run[] {
  const runs = lights.flatMap(({ mutant: asked, fault, strikes, on, handlerMs, quicklyOn }) =>
    on
      .filter((kind) => !isQuick || kind === quicklyOn)
      .map((kind) => {
        const mutant = mutants.find(({ name }) => name === asked)!;
        return { mutant, fault, kind, handlerMs, reach: { strikes, hits: 0 } };
      }),
  );
  return runs.filter(({ mutant, kind }) => isMeant(only, `mutant ${mutant.name}`, kind));
}

function shareOf({ strikes, hits }: Reach, share: number): Reach {
  return { strikes: Math.ceil(strikes * share), hits: Math.ceil(hits * share) };
}

function isMeant(only: readonly string[] | undefined, ...names: string[]): boolean {
  const text = names.join(' ').toLowerCase();
  return only === undefined || only.some((part) => text.includes(part.toLowerCase()));
}
