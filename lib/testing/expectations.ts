import type { Duration } from '../core/duration.js';
import { parseDuration } from '../core/duration.js';
import type { Job } from '../core/job.js';
import type { Check } from '../core/option-checks.js';
import { labelsCheck } from '../core/job-checks.js';
import { condition, integer, jsonCheck, optional, readOptions, text } from '../core/option-checks.js';
import { editDistance } from '../core/suggestion.js';
import { isDate } from '../core/text.js';

/** Part of a payload: each member may be left out, or be a matcher such as `expect.any(String)`. */
export type PartialPayload<T> = T extends object ? { readonly [Name in keyof T]?: PartialPayload<T[Name]> } : T;

/** What a job must match. Members that are absent match any job. */
export interface ExpectedJob<T = unknown> {
  /** Members of the payload. Other members are ignored; lists match whole. */
  payload?: PartialPayload<T> | undefined;
  /** When the job is due: a Date, how long after it was enqueued, or a matcher such as `expect.any(Date)`. */
  runAt?: Date | Duration | undefined;
  uniqueKey?: string | undefined;
  /** The job has each of these labels, and may have others. */
  labels?: readonly string[] | undefined;
  /** How many jobs match. Default: at least one. */
  count?: number | undefined;
}

interface Expectation {
  readonly topic: string;
  readonly payload: unknown;
  readonly runAt: unknown;
  readonly uniqueKey: string | null;
  readonly labels: readonly string[] | undefined;
  readonly count: number | undefined;
}

/** As Jest and Vitest define them. */
interface Matcher {
  asymmetricMatch(value: unknown): boolean;
}

const runAtCheck: Check<unknown> = {
  expects: "a Date, a duration such as '5m', or a matcher",
  parse: (value) => (isDate(value) || isMatcher(value) ? value : parseDuration(value)),
};

const EXPECTED_OPTIONS = {
  payload: optional(jsonCheck),
  runAt: optional(runAtCheck),
  uniqueKey: condition(text(255)),
  labels: optional(labelsCheck),
  count: optional(integer(0, Number.MAX_SAFE_INTEGER)),
};

/** @throws InvalidOptionsError for an unknown name or an invalid value. */
export function readExpectation(topic: string, given: unknown): Expectation {
  return { topic, ...readOptions(EXPECTED_OPTIONS, given, 'expected job') };
}

/** Jobs that a failed expectation lists. */
const LISTED_MAX = 10;
const PAYLOAD_LENGTH_MAX = 300;

/**
 * Returns the jobs that match.
 *
 * @throws Error when their number is not the expected one.
 */
export function checkEnqueued(jobs: readonly Job[], expectation: Expectation): Job[] {
  const { count } = expectation;
  const compared = jobs.map((job) => ({ job, differences: compare(job, expectation) }));
  const matching = compared.filter(({ differences }) => differences.length === 0).map(({ job }) => job);
  if (count === undefined ? matching.length > 0 : matching.length === count) {
    return matching;
  }
  const listed = count === 0 ? compared.filter(({ differences }) => differences.length === 0) : compared;
  throw new Error(describeFailure(expectation, matching.length, listed));
}

interface ComparedJob {
  readonly job: Job;
  readonly differences: readonly string[];
}

function describeFailure(expectation: Expectation, found: number, compared: readonly ComparedJob[]): string {
  const { topic, payload, runAt, uniqueKey, labels, count } = expectation;
  const conditions = [
    payload !== undefined && `payload ${toText(payload)}`,
    runAt !== undefined && `runAt ${toRunAtText(runAt)}`,
    uniqueKey !== null && `uniqueKey '${uniqueKey}'`,
    labels && labels.length > 0 && `labels ${toText(labels)}`,
  ].filter(Boolean);
  const number =
    count === undefined ? 'at least 1 job' : count === 0 ? 'no job' : count === 1 ? '1 job' : `${count} jobs`;
  const first = `expected ${number} of '${topic}'${conditions.length > 0 ? ` with ${conditions.join(' and ')}` : ''}, found ${found}`;
  const sorted = [...compared].sort((a, b) => measure(a, topic) - measure(b, topic));
  const lines = sorted.slice(0, LISTED_MAX).map((each, index) => describeJob(each, index + 1));
  const more = sorted.length - lines.length;
  return [
    sorted.length === 0 ? `${first}; no job was enqueued` : `${first}. Enqueued jobs, nearest first:`,
    ...lines,
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join('\n');
}

function describeJob({ job, differences }: ComparedJob, position: number): string {
  const key = job.uniqueKey === null ? '' : `, uniqueKey '${job.uniqueKey}'`;
  const labels = job.labels.length === 0 ? '' : `, labels ${toText(job.labels)}`;
  const error = job.lastError === null ? '' : `, lastError ${toText(job.lastError)}`;
  const head = `  ${position}. '${job.topic}' ${job.status}, payload ${toText(job.payload)}, runAt ${job.runAt.toISOString()}${key}${labels}${error}`;
  return [head, ...differences.map((difference) => `     ${difference}`)].join('\n');
}

/** Fewer differences are nearer. Jobs of other topics come last, by the likeness of their names. */
function measure({ job, differences }: ComparedJob, topic: string): number {
  return differences.length + (job.topic === topic ? 0 : 1_000 * (1 + editDistance(job.topic, topic)));
}

/** Returns what differs; an empty list for a job that matches. */
function compare(job: Job, { topic, payload, runAt, uniqueKey, labels = [] }: Expectation): string[] {
  const differences: string[] = [];
  if (job.topic !== topic) {
    differences.push(`topic: expected '${topic}'`);
  }
  if (payload !== undefined) {
    differences.push(...compareValues('payload', payload, job.payload));
  }
  if (runAt !== undefined && !isExpectedTime(runAt, job)) {
    differences.push(`runAt: expected ${toRunAtText(runAt)}, got ${job.runAt.toISOString()}`);
  }
  if (uniqueKey !== null && job.uniqueKey !== uniqueKey) {
    differences.push(`uniqueKey: expected '${uniqueKey}', got ${toText(job.uniqueKey)}`);
  }
  const missing = labels.filter((label) => !job.labels.includes(label));
  if (missing.length > 0) {
    differences.push(`labels: expected ${toText(missing)}, got ${toText(job.labels)}`);
  }
  return differences;
}

function isExpectedTime(expected: unknown, { runAt, created }: Job): boolean {
  if (isMatcher(expected)) {
    return expected.asymmetricMatch(runAt);
  }
  const expectedMs = isDate(expected) ? expected.getTime() : created.getTime() + (expected as number);
  return runAt.getTime() === expectedMs;
}

function compareValues(path: string, expected: unknown, actual: unknown): string[] {
  if (isMatcher(expected)) {
    return expected.asymmetricMatch(actual) ? [] : [describeDifference(path, expected, actual)];
  }
  // A Date is stored as text.
  const wanted = isDate(expected) ? expected.toJSON() : expected;
  if (typeof wanted !== 'object' || wanted === null) {
    return wanted === actual ? [] : [describeDifference(path, wanted, actual)];
  }
  const isList = Array.isArray(wanted);
  const isSameKind = typeof actual === 'object' && actual !== null && Array.isArray(actual) === isList;
  if (!isSameKind || (isList && wanted.length !== (actual as unknown[]).length)) {
    return [describeDifference(path, wanted, actual)];
  }
  return Object.entries(wanted).flatMap(([name, member]) =>
    compareValues(isList ? `${path}[${name}]` : `${path}.${name}`, member, (actual as Record<string, unknown>)[name]),
  );
}

function describeDifference(path: string, expected: unknown, actual: unknown): string {
  return `${path}: expected ${toText(expected)}, got ${toText(actual)}`;
}

function isMatcher(value: unknown): value is Matcher {
  return typeof (value as Partial<Matcher> | null | undefined)?.asymmetricMatch === 'function';
}

function toRunAtText(runAt: unknown): string {
  return isDate(runAt) ? runAt.toISOString() : typeof runAt === 'number' ? `${runAt} ms after created` : toText(runAt);
}

/** JSON, with matchers by their names. */
function toText(value: unknown): string {
  const json =
    JSON.stringify(value, (_, member: unknown) => (isMatcher(member) ? nameOf(member) : member)) ?? 'nothing';
  return json.length > PAYLOAD_LENGTH_MAX ? `${json.slice(0, PAYLOAD_LENGTH_MAX)}…` : json;
}

function nameOf(matcher: Matcher): string {
  const { toAsymmetricMatcher } = matcher as { toAsymmetricMatcher?: () => string };
  return toAsymmetricMatcher?.call(matcher) ?? 'a matcher';
}
