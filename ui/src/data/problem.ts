import { JobsApiError } from '../../../client/index.js';

/** What went wrong and what to do, in words for the reader. */
export interface Problem {
  readonly title: string;
  readonly advice: string;
  /** What the API said. */
  readonly detail: string;
}

/** Of anything that a call of the API may throw. */
export function problemOf(error: unknown): Problem {
  const detail = error instanceof Error ? error.message : String(error);
  if (!(error instanceof JobsApiError)) return { title: 'Something went wrong', advice: 'Reload the page.', detail };
  return { ...wordsFor(error), detail: [detail, ...fieldsOf(error)].join('\n') };
}

/** Returns whether the API knows the caller and does not admit them. */
export function isForbidden(error: unknown): boolean {
  return error instanceof JobsApiError && error.status === 403;
}

/** Returns why a sign-in failed, in one line. A guard of the application may have its own text for 401 and 403. */
export function signInComplaint(error: unknown, whenUnauthorized?: string): string {
  if (error instanceof JobsApiError && error.status === 401)
    return whenUnauthorized ?? `Not signed in: ${error.message}`;
  if (isForbidden(error)) return `Not allowed: ${(error as JobsApiError).message}`;
  const { title, advice } = problemOf(error);
  return `${title}. ${advice}`;
}

function wordsFor({ status, code }: JobsApiError): Omit<Problem, 'detail'> {
  if (status === 0) return { title: 'No answer', advice: 'Is the application running? Check it, then try again.' };
  if (status === 401) return { title: 'Signed out', advice: 'Sign in again.' };
  if (status === 403) return { title: 'Not allowed', advice: 'Ask an administrator of this application for access.' };
  if (status === 404) return { title: 'Not found', advice: 'It may have been deleted, or pruned by age.' };
  if (code === 'SCHEDULE_STATE') return { title: 'Not possible', advice: 'Change it in the code, or pause it.' };
  if (status === 409) return { title: 'Not possible now', advice: 'The job has moved on. Look at it again.' };
  if (status === 503) return { title: 'Database unavailable', advice: 'The queue goes on when it is back. Try again.' };
  if (status >= 500) return { title: 'The server failed', advice: 'Its log says why.' };
  if (code === 'INVALID_RESPONSE') {
    return { title: 'Not the answer of this API', advice: 'A proxy, or another path? See the option http.path.' };
  }
  return { title: 'Refused', advice: 'Change what is wrong, then try again.' };
}

function fieldsOf({ data }: JobsApiError): string[] {
  return Object.entries(data).map(([name, complaint]) => `${name}: ${complaint}`);
}
