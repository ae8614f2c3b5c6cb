/** Exit codes of the command. */
export const EXIT = { DONE: 0, FAILED: 1, USAGE: 2, CHECK_FAILED: 3 } as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The command line is wrong. Exits with 2. */
export class UsageError extends Error {}

/** The command cannot be carried out. Exits with 1. */
export class CommandError extends Error {}
