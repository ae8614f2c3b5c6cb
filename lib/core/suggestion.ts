/** What other queues call it, in small letters and without underscores. */
const NAMES_ELSEWHERE: Readonly<Record<string, string>> = {
  // `attempts: 5` is `maxRetries: 4`.
  attempts: 'maxRetries',
  connection: 'dataSource',
  deduplication: 'uniqueKey',
  jobid: 'uniqueKey',
  removeoncomplete: 'retention',
  removeonfail: 'retention',
  retrylimit: 'maxRetries',
  singletonkey: 'uniqueKey',
  startafter: 'runAt',
};

const KEPT = "how long finished jobs are kept is an option of the module, 'retention'";
const NOTHING_RECURS = 'nothing recurs by itself: a handler enqueues its next run';

/** What to say of a name of theirs that stands for no option of this place. */
const ANSWERS: Readonly<Record<string, string>> = {
  cron: NOTHING_RECURS,
  defaultjoboptions: 'defaults for jobs, such as maxRetries and backoff, stand among the other options',
  removeoncomplete: KEPT,
  removeonfail: KEPT,
  repeat: NOTHING_RECURS,
};

/** `; did you mean 'lease'?` when one of the names is near or means the same, otherwise what else there is to say. */
export function suggestName(stranger: string, names: readonly string[]): string {
  const asked = withoutCase(stranger);
  const meant = own(NAMES_ELSEWHERE, asked);
  const same = names.find((name) => meant !== undefined && withoutCase(name) === withoutCase(meant));
  if (same !== undefined) {
    return `; did you mean '${same}'${asked === 'attempts' ? ', which does not count the first one' : ''}?`;
  }
  const answer = own(ANSWERS, asked);
  return answer === undefined ? nearest(stranger, names) : `; ${answer}`;
}

/** A request over HTTP has `max_retries`. */
function withoutCase(name: string): string {
  return name.toLowerCase().replaceAll('_', '');
}

function own(table: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function nearest(stranger: string, names: readonly string[]): string {
  const asked = stranger.toLowerCase();
  const ranked = names.map((name) => ({ name, distance: distanceOf(asked, name.toLowerCase()) }));
  const first = ranked.sort((a, b) => a.distance - b.distance)[0];
  return first && first.distance <= Math.max(2, Math.ceil(stranger.length * 0.4))
    ? `; did you mean '${first.name}'?`
    : `; ${names.length === 0 ? 'none is known' : `known are ${names.join(', ')}`}`;
}

/** `auth` is the beginning of `authenticate`, however far that is. */
function distanceOf(asked: string, name: string): number {
  return asked.length > 1 && name.startsWith(asked) ? 0 : editDistance(asked, name);
}

/** Levenshtein distance, one row at a time. */
function editDistance(a: string, b: string): number {
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
