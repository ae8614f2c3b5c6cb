import type { Run } from './campaign.js';
import { faults } from './faults/faults.js';
import type { Kind } from './faults/fault.js';
import { kill } from './faults/kill.js';
import { pause } from './faults/pause.js';
import { mutants } from './mutants/mutants.js';

export interface PlanOptions {
  readonly isQuick: boolean;
  /** A part of the name of a fault, a mutant or a database. */
  readonly only?: string;
}

const kinds: readonly Kind[] = ['postgres', 'sqlite'];

/** The fault that brings each mutant to light. */
const lights = [
  { mutant: 'no rescue', fault: kill, strikes: 3 },
  { mutant: 'completion by id', fault: pause, strikes: 6 },
];

/** Every fault on every database it is meant for. */
export function plannedRuns({ isQuick, only }: PlanOptions): Run[] {
  const runs = faults.flatMap((fault) =>
    kinds.flatMap((kind): Run[] => {
      const reach = (isQuick ? fault.quick : fault.full)[kind];
      return reach ? [{ fault, kind, reach }] : [];
    }),
  );
  return runs.filter(({ fault, kind }) => isMeant(only, fault.name, kind));
}

/** Every mutant, under the fault that brings it to light. */
export function plannedMutants({ only }: PlanOptions): Run[] {
  const runs = lights.map(({ mutant, fault, strikes }): Run => ({
    mutant: mutants.find(({ name }) => name === mutant)!.name,
    fault,
    kind: 'postgres',
    reach: { strikes, hits: 0 },
  }));
  return runs.filter(({ mutant, kind }) => isMeant(only, `mutant ${mutant}`, kind));
}

function isMeant(only: string | undefined, ...names: string[]): boolean {
  return only === undefined || names.join(' ').toLowerCase().includes(only.toLowerCase());
}
