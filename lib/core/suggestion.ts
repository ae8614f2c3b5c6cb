/** What other queues call it, in small letters. */
const NAMES_ELSEWHERE: Readonly<Record<string, string>> = {
  // `attempts: 5` is `maxRetries: 4`.
  attempts: 'maxRetries',
  connection: 'dataSource',
  jobid: 'uniqueKey',
  removeoncomplete: 'retention',
  removeonfail: 'retention',
  retrylimit: 'maxRetries',
  singletonkey: 'uniqueKey',
  startafter: 'runAt',
};

/** `; did you mean 'lease'?` when one of the names is near or means the same, otherwise the list of them. */
export function suggestion(stranger: string, names: readonly string[]): string {
  const asked = stranger.toLowerCase();
  const same = Object.hasOwn(NAMES_ELSEWHERE, asked) ? NAMES_ELSEWHERE[asked]! : '';
  if (names.includes(same)) {
    return `; did you mean '${same}'${asked === 'attempts' ? ', which does not count the first one' : ''}?`;
  }
  const ranked = names.map((name) => ({ name, distance: distanceOf(asked, name.toLowerCase()) }));
  const nearest = ranked.sort((a, b) => a.distance - b.distance)[0];
  return nearest && nearest.distance <= Math.max(2, Math.ceil(stranger.length * 0.4))
    ? `; did you mean '${nearest.name}'?`
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
