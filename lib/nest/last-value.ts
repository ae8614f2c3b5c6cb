import type { Observable } from 'rxjs';
import { isObservable, lastValueFrom } from 'rxjs';

/** What somebody's answer comes to in the end: of an Observable its last value, `undefined` when it gives none. */
export async function lastValueOf(answer: unknown): Promise<unknown> {
  const settled = await answer;
  return isStream(settled) ? lastValueFrom(settled, { defaultValue: undefined }) : settled;
}

/** An object that refuses to be looked at is a value like any other. */
function isStream(value: unknown): value is Observable<unknown> {
  try {
    return isObservable(value);
  } catch {
    return false;
  }
}
