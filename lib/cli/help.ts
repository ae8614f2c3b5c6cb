import type { JsonSchema } from '../core/option-checks.js';
import { COMMON_OPTIONS, COMMON_SWITCHES, toOptionName } from './arguments.js';
import type { Terminal } from './terminal.js';
import type { Verb } from './verb.js';

const WIDTH = 100;

/** Writes the help of the command: its verbs and what all of them take. */
export function printHelp(terminal: Terminal, verbs: readonly Verb[]): void {
  terminal.print('Shows and manages the jobs of a nestjs-jobs queue.');
  terminal.print();
  printHeading(terminal, 'Usage');
  terminal.print('  nestjs-jobs VERB [options]');
  terminal.print();
  printHeading(terminal, 'Verbs');
  printList(
    terminal,
    verbs.map(({ name, summary }) => [name, summary]),
  );
  terminal.print();
  printHeading(terminal, 'Options of all verbs');
  printList(terminal, [...commonOptions(), ['-V, --version', 'print the version']]);
  terminal.print();
  printHeading(terminal, 'Exit codes');
  printList(terminal, [
    ['0', 'done'],
    ['1', 'failed, or not all of the given jobs could be changed'],
    ['2', 'wrong usage'],
    ['3', 'a check failed: migrate --check, doctor'],
  ]);
  terminal.print();
  terminal.print('nestjs-jobs VERB --help describes one verb.');
}

/** Writes the help of a verb. */
export function printVerbHelp(terminal: Terminal, verb: Verb): void {
  terminal.print(`${verb.summary}.`);
  for (const paragraph of verb.details ?? []) {
    terminal.print();
    wrap(paragraph, WIDTH).forEach((line) => terminal.print(line));
  }
  terminal.print();
  printHeading(terminal, 'Usage');
  terminal.print(`  nestjs-jobs ${[verb.name, verb.args, '[options]'].filter(Boolean).join(' ')}`);
  const own = ownOptions(verb);
  if (own.length > 0) {
    terminal.print();
    printHeading(terminal, 'Options');
    printList(terminal, own);
  }
  terminal.print();
  printHeading(terminal, 'Options of all verbs');
  printList(terminal, commonOptions());
  if (verb.examples) {
    terminal.print();
    printHeading(terminal, 'Examples');
    verb.examples.forEach((example) => terminal.print(`  ${example}`));
  }
}

function printHeading(terminal: Terminal, text: string): void {
  terminal.print(terminal.paint('bold', text));
}

function ownOptions({ fields, switches = {} }: Verb): [string, string][] {
  const valued = Object.entries(fields).map(([name, { schema, meaning, isRepeatable }]): [string, string] => [
    `--${toOptionName(name)} ${toMetavariable(name, schema)}`,
    isRepeatable ? `${meaning}; repeatable` : meaning,
  ]);
  return [...valued, ...Object.entries(switches).map(([name, meaning]): [string, string] => [`--${name}`, meaning])];
}

function commonOptions(): [string, string][] {
  const valued = Object.entries(COMMON_OPTIONS).map(([name, [metavariable, meaning]]): [string, string] => [
    `--${name} ${metavariable}`,
    meaning,
  ]);
  const { json, yes, help } = COMMON_SWITCHES;
  return [...valued, ['--json', json], ['-y, --yes', yes], ['-h, --help', help]];
}

function toMetavariable(name: string, schema: JsonSchema): string {
  const member = (schema.oneOf as readonly JsonSchema[] | undefined)?.[0] ?? schema;
  const { type, format, enum: words } = member as { type?: string; format?: string; enum?: readonly string[] };
  if (words) {
    return words.join('|');
  }
  if (type === 'integer') {
    return 'N';
  }
  if (type === 'boolean') {
    return 'true|false';
  }
  if (type === undefined) {
    return 'JSON';
  }
  // A duration is a number or text.
  return format === 'date-time' ? 'TIME' : type === 'number' ? 'DURATION' : name === 'q' ? 'TEXT' : toWord(name);
}

function toWord(name: string): string {
  return name.replace(/.*(?=[A-Z])/, '').toUpperCase();
}

/** Writes names beside their meanings. A name that is too long stands on a line of its own. */
function printList(terminal: Terminal, entries: readonly (readonly [string, string])[]): void {
  const width = Math.min(28, Math.max(...entries.map(([name]) => name.length)));
  for (const [name, meaning] of entries) {
    const lines = wrap(meaning, WIDTH - width - 4);
    const [first, ...others] = name.length > width ? ['', ...lines] : lines;
    const isAlone = name.length > width;
    terminal.print(isAlone ? `  ${name}` : `  ${name.padEnd(width)}  ${first}`);
    others.forEach((line) => terminal.print(`${' '.repeat(width + 4)}${line}`));
  }
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < width) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}
