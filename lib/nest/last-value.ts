import { isObservable, lastValueFrom } from 'rxjs';

/** What somebody's answer comes to in the end: of an Observable its last value, `undefined` when it gives none. */
export async function lastValueOf(answer: unknown): Promise<unknown> {
  const settled = await answer;
  return isObservable(settled) ? lastValueFrom(settled, { defaultValue: undefined }) : settled;
}
