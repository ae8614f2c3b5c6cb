/** Options of other queues, in lower case and without underscores, and the option that means the same here. */
const NAMES_ELSEWHERE: Readonly<Record<string, string>> = {
  // `attempts: 5` is `maxRetries: 4`.
  attempts: 'maxRetries',
  connection: 'dataSource',
  deduplication: 'uniqueKey',
  jobid: 'uniqueKey',
  jobkey: 'uniqueKey',
  removeoncomplete: 'retention',
  removeonfail: 'retention',
  retrylimit: 'maxRetries',
  singletonkey: 'uniqueKey',
  singletonseconds: 'uniqueFor',
  startafter: 'runAt',
  throttle: 'uniqueFor',
  timezone: 'tz',
  ttl: 'uniqueFor',
  waitforcompletion: 'overlap',
};

const KEPT = "the module option 'retention' sets how long finished jobs are kept";
const USE_SCHEDULE = 'use @JobSchedule or jobs.schedules.upsert for recurring jobs';

/** Hints for options of other queues that have no equivalent at this call. */
const HINTS: Readonly<Record<string, string>> = {
  cron: USE_SCHEDULE,
  defaultjoboptions: 'set defaults for jobs, such as maxRetries and backoff, directly in the module options',
  removeoncomplete: KEPT,
  removeonfail: KEPT,
  repeat: USE_SCHEDULE,
};

/** Returns the end of an error about an unknown name: `; did you mean 'lease'?`, a hint, or the list of known names. */
export function suggestName(unknown: string, names: readonly string[]): string {
  const given = normalize(unknown);
  const equivalent = readOwn(NAMES_ELSEWHERE, given);
  const same = names.find((name) => equivalent !== undefined && normalize(name) === normalize(equivalent));
  if (same !== undefined) {
    return `; did you mean '${same}'${given === 'attempts' ? ', which does not count the first attempt' : ''}?`;
  }
  const hint = readOwn(HINTS, given);
  return hint === undefined ? suggestNearest(unknown, names) : `; ${hint}`;
}

/** Makes `maxRetries` and `max_retries`, the spelling of HTTP requests, equal. */
function normalize(name: string): string {
  return name.toLowerCase().replaceAll('_', '');
}

function readOwn(table: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Like {@link suggestName}, without the names of other queues. */
export function suggestNearest(unknown: string, names: readonly string[]): string {
  const nearest = findNearest(unknown, names);
  return nearest === undefined
    ? `; ${names.length === 0 ? 'there are none' : `known are ${names.join(', ')}`}`
    : `; did you mean '${nearest}'?`;
}

/** Returns the name that looks most like `unknown`; `undefined` if none is similar. */
export function findNearest(unknown: string, names: readonly string[]): string | undefined {
  const given = unknown.toLowerCase();
  const word = given.replace(/^-+/, '');
  const distanceMax = Math.max(2, Math.ceil(unknown.length * 0.4));
  let nearest: string | undefined;
  let leastDistance = Infinity;
  for (const name of names) {
    const isComparable = Math.abs(name.length - given.length) <= distanceMax || name.toLowerCase().startsWith(given);
    const distance =
      readLastWord(name) === word ? 1 : isComparable ? measureDistance(given, name.toLowerCase()) : Infinity;
    if (distance <= distanceMax && distance < leastDistance) {
      nearest = name;
      leastDistance = distance;
    }
  }
  return nearest;
}

/** Returns `spread` for `--rate-spread` and `rateSpread`; `undefined` for a name of one word. */
function readLastWord(name: string): string | undefined {
  const words = name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[-_.]+/)
    .filter(Boolean);
  return words.length > 1 ? words.at(-1) : undefined;
}

/** Returns 0 for a prefix, such as `auth` of `authenticate`; otherwise the edit distance. */
function measureDistance(given: string, name: string): number {
  return given.length > 1 && name.startsWith(given) ? 0 : editDistance(given, name);
}

/** Levenshtein distance, one row at a time. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
