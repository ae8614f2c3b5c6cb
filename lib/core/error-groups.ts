import { labelFilterCheck } from './job-checks.js';
import { condition, integer, oneOf, option } from './option-checks.js';

/* How jobs are grouped by their error: messages that differ only in numbers and ids have one pattern. */

/** How many characters of a message are read. A longer rest does not tell errors apart. */
export const READ_MESSAGE_CHARS = 2_000;
const PATTERN_CHARS_MAX = 1_000;
/** Page size of the groups, and its upper bound. */
export const ERROR_GROUPS_MAX = 100;
const OFFSET_MAX = 100_000;

/** Which groups of errors to return. */
export interface ErrorGroupPage {
  /** Only of jobs with this label, or with all of several. */
  label?: string | readonly string[] | undefined;
  /** `'last_seen'`: the error that occurred last is first. `'count'`: the most frequent one. Default `'last_seen'`. */
  sort?: 'last_seen' | 'count' | undefined;
  /** Number of groups, 1 to 100. Default 100. */
  limit?: number | undefined;
  /** Number of groups to skip, 0 to 100,000. Default 0. */
  offset?: number | undefined;
}

/** Describes each member of an {@link ErrorGroupPage}. */
export const ERROR_GROUP_OPTIONS = {
  label: condition(labelFilterCheck, 'only of jobs with this label, or with all of several'),
  sort: option(
    'last_seen',
    oneOf('last_seen', 'count'),
    'last_seen: the error that occurred last is first; count: the most frequent one',
  ),
  limit: option(ERROR_GROUPS_MAX, integer(1, ERROR_GROUPS_MAX), 'number of groups'),
  offset: option(0, integer(0, OFFSET_MAX), 'number of groups to skip'),
};

/* Each expression reads a text once: it finds the start of a match by looking at one character before it. */

const UUID = /[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}/g;
const WORD_WITH_AT = /[^\s"'`<>()[\]{},;:=|]+/g;
const IPV6 = /(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])/g;
/** Letters and digits with at least one digit. */
const RUN_WITH_DIGIT = /(?<![0-9A-Za-z])[A-Za-z]*[0-9][0-9A-Za-z]*/g;
/** A status of HTTP or SMTP: at the start of a message, of a part after a colon or a bracket, or after a word that announces it. */
const STATUS = /^[45][0-9]{2}$/;
const BEFORE_STATUS = /(?:^|[:(] ?|\b(?:status|code|http|smtp|error|response)[ :=!-]{1,3})$/i;
/** What goes on is an amount, an address or a time. */
const AFTER_AMOUNT = /^(?:[-.,:/_][0-9]| ?(?:%|[mµ]?s\b))/;
/** The longest word above, and what may stand between it and the number. */
const BEFORE_STATUS_CHARS = 12;
const HEX = /^(?:0[xX][0-9A-Fa-f]+|[0-9A-Fa-f]{8,})$/;
/** Letters and digits of this length or longer are an id if a letter follows a digit. */
const ID_CHARS = 12;
/** Folding leaves a chain of `#` of a date, an address or a list. `#` may also be in the message, as in `order #17`. */
const CHAIN = /#(?:(?:, ?|[-.:/_+T])?#)+Z?/g;

/**
 * Replaces what differs from job to job by `#`: numbers, UUIDs, hexadecimal numbers of 8 digits or more, long ids of letters and digits,
 * email addresses, dates and IP addresses. A single digit after a letter stays, as in `S3` or `utf8`, and so does a status of 400 to 599,
 * as in `503 Service Unavailable`. The result has at most 1,000 characters. Takes time in proportion to the text.
 */
export function foldMessage(message: string): string {
  let text = message.slice(0, READ_MESSAGE_CHARS);
  if (text.includes('@')) {
    text = text.replace(WORD_WITH_AT, (word) => (isEmail(word) ? '#' : word));
  }
  if (/[0-9]/.test(text)) {
    text = text.replace(UUID, '#');
    if (text.includes('::')) {
      text = text.replace(IPV6, (address) => (/[0-9]/.test(address) ? '#' : address));
    }
    text = text.replace(RUN_WITH_DIGIT, foldRun);
  }
  const pattern = text.replace(CHAIN, '#').slice(0, PATTERN_CHARS_MAX);
  return /[\uD800-\uDBFF]$/.test(pattern) ? pattern.slice(0, -1) : pattern;
}

function isEmail(word: string): boolean {
  const at = word.indexOf('@');
  return at > 0 && at === word.lastIndexOf('@') && word.indexOf('.', at + 2) > 0;
}

function foldRun(run: string, at: number, text: string): string {
  if (STATUS.test(run) && isStatus(text, at)) {
    return run;
  }
  if (HEX.test(run) || (run.length >= ID_CHARS && /[0-9][A-Za-z]/.test(run))) {
    return '#';
  }
  return run.replace(/[0-9]+/g, (digits, start: number) => (digits.length === 1 && start > 0 ? digits : '#'));
}

function isStatus(text: string, at: number): boolean {
  // One character more than the words need shows whether a word begins there, and keeps `^` to the start of the message.
  const start = Math.max(0, at - BEFORE_STATUS_CHARS - 1);
  return BEFORE_STATUS.test(text.slice(start, at)) && !AFTER_AMOUNT.test(text.slice(at + 3, at + 7));
}
