/*
 * cli/: the command `nestjs-jobs`. In: the arguments of a shell. Out: text or JSON on stdout, messages on stderr, an exit code.
 * Read this file first, then arguments.ts (the options), connection.ts (the database) and one verb in verbs/. The options of a verb
 * are the fields of the HTTP API, and its JSON is the API's. terminal.ts and format.ts write, help.ts describes the verbs.
 */
import { toFailure } from '../core/error-text.js';
import { InvalidOptionsError, InvalidPayloadError, JobsError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import { suggestNearest } from '../core/suggestion.js';
import { VERSION } from '../core/version.js';
import { isDatabaseError } from '../store/runtime/sql-error.js';
import type { ReadArguments } from './arguments.js';
import { readArguments, readWords, toOptionName } from './arguments.js';
import { hideSecrets, OpenQueue, readTarget } from './connection.js';
import { printHelp, printVerbHelp } from './help.js';
import type { Host } from './terminal.js';
import { Terminal } from './terminal.js';
import type { ExitCode } from './exit.js';
import type { Verb } from './verb.js';
import { CommandError, EXIT, UsageError } from './exit.js';
import { VERBS } from './verbs/index.js';

/** What a command uses of its process. */
interface CliHost extends Host {
  /** Returns milliseconds since 1970. Default `Date.now`. */
  readonly now?: () => number;
}

/**
 * Runs a command. Never rejects.
 *
 * @param args without the paths of Node and of the script.
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage, 3 a check failed.
 */
export async function runCli(args: readonly string[], host: CliHost): Promise<ExitCode> {
  const terminal = new Terminal(host);
  const secrets = new Set<string>();
  let verb: Verb | undefined;
  try {
    const { words, isVersion, ...read } = readWords(args);
    const isHelp = read.isHelp || words[0] === 'help';
    verb = findVerb(words);
    if (isVersion || !verb || isHelp) {
      return printInformation(terminal, verb, isVersion, isHelp);
    }
    return await runVerb(verb, readArguments(verb, args), { host, terminal, secrets });
  } catch (error) {
    const { code, text } = toOutcome(error);
    terminal.note(`nestjs-jobs: ${hideSecrets(text, [...secrets])}`);
    if (code === EXIT.USAGE) {
      terminal.note(`Run 'nestjs-jobs ${verb ? `${verb.name} ` : ''}--help' for help.`);
    }
    return code;
  }
}

/** @throws UsageError for an unknown verb. */
function findVerb(words: readonly string[]): Verb | undefined {
  const [first, second] = words[0] === 'help' ? words.slice(1) : words;
  if (first === undefined) {
    return undefined;
  }
  const found = VERBS.find(({ name }) => name === `${first} ${second}`) ?? VERBS.find(({ name }) => name === first);
  if (!found) {
    const names = VERBS.map(({ name }) => name).filter((name) => !name.includes(' '));
    throw new UsageError(`there is no verb '${first}'${suggestNearest(first, names)}`);
  }
  const group = VERBS.filter(({ name }) => name.startsWith(`${first} `));
  if (found.name === first && second !== undefined && group.length > 0) {
    const names = group.map(({ name }) => name.slice(first.length + 1));
    throw new UsageError(`there is no verb '${first} ${second}'${suggestNearest(second, names)}`);
  }
  return found;
}

/** Without a verb, the help is the answer to a wrong usage. */
function printInformation(terminal: Terminal, verb: Verb | undefined, isVersion: boolean, isHelp: boolean): ExitCode {
  if (isVersion) {
    terminal.print(VERSION);
    return EXIT.DONE;
  }
  if (verb) {
    printVerbHelp(terminal, verb);
    return EXIT.DONE;
  }
  printHelp(terminal, VERBS);
  return isHelp ? EXIT.DONE : EXIT.USAGE;
}

interface Surroundings {
  readonly host: CliHost;
  readonly terminal: Terminal;
  /** Receives the secrets of the target. */
  readonly secrets: Set<string>;
}

async function runVerb(
  verb: Verb,
  { args, values, switches, url, schema }: ReadArguments,
  { host, terminal, secrets }: Surroundings,
): Promise<ExitCode> {
  const queues: OpenQueue[] = [];
  const isJson = switches.has('json');
  const mayCreate = verb.name === 'migrate' && !switches.has('dry-run') && !switches.has('check');
  const logger = toLogger((line) => terminal.note(hideSecrets(line, [...secrets])));
  const open = async (): Promise<OpenQueue> => {
    const target = readTarget(url, schema, host.env);
    target.secrets.forEach((secret) => secrets.add(secret));
    const queue = await OpenQueue.connect(target, logger, mayCreate);
    queues.push(queue);
    return queue;
  };
  try {
    return await verb.run({
      args,
      values,
      terminal,
      isJson,
      now: host.now ?? Date.now,
      isOn: (flag) => switches.has(flag),
      open,
      openEngine: async () => (await open()).engine(),
      confirm: async (question) => {
        if (!switches.has('yes')) {
          await ask(terminal, question);
        }
      },
    });
  } finally {
    await Promise.all(queues.map((queue) => queue.close()));
  }
}

async function ask(terminal: Terminal, question: string): Promise<void> {
  if (!terminal.canAsk) {
    throw new UsageError(`${question} There is no terminal to ask; pass --yes`);
  }
  if (!(await terminal.ask(question))) {
    throw new CommandError('nothing was changed');
  }
}

/** Writes warnings and errors of the queue. */
function toLogger(write: (line: string) => void): JobsLogger {
  return {
    debug: () => undefined,
    log: () => undefined,
    warn: (message: string) => write(`warning: ${message}`),
    error: (message: string) => write(`error: ${message}`),
    isDebugEnabled: () => false,
  };
}

function toOutcome(error: unknown): { readonly code: ExitCode; readonly text: string } {
  if (error instanceof InvalidOptionsError && error.option !== 'migrate' && error.option !== 'dataSource') {
    return { code: EXIT.USAGE, text: `${toOptionName(error.option)}: ${error.reason}` };
  }
  if (error instanceof UsageError || error instanceof InvalidPayloadError) {
    return { code: EXIT.USAGE, text: error.message };
  }
  const { message, stack } = toFailure(error);
  const isExpected =
    error instanceof CommandError ||
    error instanceof JobsError ||
    (error instanceof Error && (isDatabaseError(error) || typeof (error as NodeJS.ErrnoException).code === 'string'));
  return { code: EXIT.FAILED, text: isExpected ? message : (stack ?? message) };
}
