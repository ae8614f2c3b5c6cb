import { SET_JOBS_MAX, SET_LENGTH_MAX } from '../../core/bounds.js';
import type { Definition, DefinitionRef, DefinitionState, PendingSchedule } from './definition-records.js';
import type { DefinitionStore } from '../job-store.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';

interface DefinitionTableOptions {
  readonly statements: {
    readonly DEFINITION_STATE: string;
    readonly PENDING_SCHEDULES: string;
  };
  readonly read: SqlQuery;
  /** Records definitions as declared, and applies those of topics, in one transaction. Returns rows of topics that changed. */
  readonly declare: (definitions: readonly Definition[], isSettling: boolean) => Promise<readonly SqlRow[]>;
  /** Deletes old definitions, and applies those of topics, in one transaction. Returns rows of topics that changed. */
  readonly apply: (isSettling: boolean) => Promise<readonly SqlRow[]>;
}

/** Reads and writes the definitions that processes declare. */
export class DefinitionTable implements DefinitionStore {
  constructor(private readonly options: DefinitionTableOptions) {}

  async declare(definitions: readonly Definition[], isSettling = false): Promise<string[]> {
    const changed: string[] = [];
    for (const set of split(definitions)) {
      changed.push(...toTopics(await this.options.declare(set, isSettling)));
    }
    return changed;
  }

  async apply(isSettling = false): Promise<string[]> {
    return toTopics(await this.options.apply(isSettling));
  }

  async state(refs: readonly DefinitionRef[], isSettling = false): Promise<DefinitionState> {
    const params = [toRefsJson(refs), Number(isSettling)];
    const [row] = await this.options.read(this.options.statements.DEFINITION_STATE, params);
    return {
      known: Number(row!.known),
      superseded: JSON.parse((row!.superseded ?? '[]') as string) as DefinitionState['superseded'],
      areTopicsDue: Boolean(row!.are_topics_due),
      areSchedulesDue: Boolean(row!.are_schedules_due),
      isPruneDue: Boolean(row!.is_prune_due),
    };
  }

  async pendingSchedules(isSettling = false): Promise<PendingSchedule[]> {
    const rows = await this.options.read(this.options.statements.PENDING_SCHEDULES, [Number(isSettling)]);
    return rows.map(({ name, definition }) => ({ name: name as string, json: definition as string }));
  }
}

/** Names definitions in a statement. */
export function toRefsJson(refs: readonly DefinitionRef[]): string {
  return JSON.stringify(refs.map(({ kind, name, hash }) => ({ kind, name, hash })));
}

function toTopics(rows: readonly SqlRow[]): string[] {
  return rows.flatMap(({ topic }) => (topic as string | undefined) ?? []);
}

/** Splits a set into statements of bounded length. */
function split(definitions: readonly Definition[]): readonly (readonly Definition[])[] {
  const sets: Definition[][] = [];
  let length = Infinity;
  for (const definition of definitions) {
    const last = sets.at(-1);
    length += definition.json.length;
    if (!last || length > SET_LENGTH_MAX || last.length >= SET_JOBS_MAX) {
      sets.push([definition]);
      length = definition.json.length;
    } else {
      last.push(definition);
    }
  }
  return sets;
}
