import { JobsApiError } from '../../../client/index.js';
import { messages } from '../messages/messages.js';

/** What went wrong and what to do, in words for the reader. */
export interface Problem {
  readonly title: string;
  readonly advice: string;
  /** What the API said. */
  readonly detail: string;
}

/** Describes an error of an API call. @param isOfForm whether the request came from a form */
export function toProblem(error: unknown, isOfForm = false): Problem {
  const detail = error instanceof Error ? error.message : String(error);
  if (!(error instanceof JobsApiError)) {
    return { ...(isOfForm ? messages.problems.notSent : messages.problems.unexpected), detail };
  }
  return { ...wordsFor(error), detail: [detail, ...listFields(error)].join('\n') };
}

/** Returns whether the API knows the caller and does not admit them. */
export function isForbidden(error: unknown): boolean {
  return error instanceof JobsApiError && error.status === 403;
}

/** Returns whether the API refuses the value of this field. */
export function isRefused(error: unknown, field: string): boolean {
  return error instanceof JobsApiError && error.status === 400 && field in error.data;
}

/** Returns whether the form shows all complaints of the API beside their fields. */
export function areShown(complaints: object, fields: ReadonlySet<string>): boolean {
  const names = Object.keys(complaints);
  return names.length > 0 && names.every((name) => fields.has(name));
}

/** Returns why a sign-in failed, in one line. A guard of the application may have its own text for 401 and 403. */
export function signInComplaint(error: unknown, whenUnauthorized?: string): string {
  if (error instanceof JobsApiError && error.status === 401)
    return whenUnauthorized ?? messages.problems.notSignedIn(error.message);
  if (isForbidden(error)) return messages.problems.notAllowed((error as JobsApiError).message);
  const { title, advice } = toProblem(error);
  return messages.problems.complaint(title, advice);
}

function wordsFor({ status, code }: JobsApiError): Omit<Problem, 'detail'> {
  const { problems } = messages;
  if (status === 0) return problems.unreachable;
  if (status === 401) return problems.signedOut;
  if (status === 403) return problems.forbidden;
  if (status === 404) return problems.notFound;
  if (code === 'SCHEDULE_STATE') return problems.scheduleState;
  if (status === 409) return problems.conflict;
  if (status === 503) return problems.unavailable;
  if (status >= 500) return problems.serverError;
  return code === 'INVALID_RESPONSE' ? problems.invalidResponse : problems.refused;
}

function listFields({ data }: JobsApiError): string[] {
  return Object.entries(data).map(([name, complaint]) => `${name}: ${complaint}`);
}
