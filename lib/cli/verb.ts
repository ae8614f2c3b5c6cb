import type { FieldTable, FieldValues } from '../http/request-fields.js';
import type { JobsEngine } from '../engine/jobs-engine.js';
import type { OpenQueue } from './connection.js';
import type { ExitCode } from './exit.js';
import type { Terminal } from './terminal.js';

/** Flags without a value, by name, with their meanings. */
export type Switches = Readonly<Record<string, string>>;

/** One verb of the command line. Two words name a verb of a group, such as `schedules pause`. */
export interface Verb<Table extends FieldTable = FieldTable, Flags extends Switches = Switches> {
  readonly name: string;
  /** For the list of verbs. */
  readonly summary: string;
  /** Arguments in the usage line, such as `ID…`. */
  readonly args?: string;
  /** Smallest and largest number of arguments. Default none. */
  readonly argsCount?: readonly [min: number, max: number];
  /** Paragraphs of `--help`, below the summary. */
  readonly details?: readonly string[];
  readonly examples?: readonly string[];
  /** Options with a value: those of the HTTP API, in kebab-case. */
  readonly fields: Table;
  readonly switches?: Flags;
  run(call: VerbCall<Table, Flags>): Promise<ExitCode>;
}

/** One call of a verb, its options checked. */
export interface VerbCall<Table extends FieldTable = FieldTable, Flags extends Switches = Switches> {
  readonly args: readonly string[];
  readonly values: FieldValues<Table>;
  readonly terminal: Terminal;
  /** Whether the output is JSON. */
  readonly isJson: boolean;
  /** Returns the wall clock of this process, in milliseconds since 1970. */
  readonly now: () => number;
  readonly isOn: (flag: keyof Flags & string) => boolean;
  /** Connects to the database. Called after the options are checked, so that a wrong option needs no database. */
  readonly open: () => Promise<OpenQueue>;
  /** Connects to the database and opens the queue, which must have its tables. */
  readonly openEngine: () => Promise<JobsEngine>;
  /** Returns if the user agrees or has passed `--yes`. @throws UsageError without a terminal; CommandError if the user refuses. */
  readonly confirm: (question: string) => Promise<void>;
}

/** Infers the types of the options of a verb. */
export function defineVerb<const Table extends FieldTable, const Flags extends Switches>(
  verb: Verb<Table, Flags>,
): Verb {
  return verb;
}

/** A switch of verbs that change jobs. */
export const DRY_RUN = { 'dry-run': 'only report what would change' } as const;
