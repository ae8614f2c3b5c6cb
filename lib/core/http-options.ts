import { InvalidOptionsError } from './errors.js';
import type { Job } from './job.js';
import type { Check, Option } from './option-checks.js';
import { listOf, oneOf, readOptions } from './option-checks.js';
import type { TopicName } from './topic.js';
import { topicNameCheck } from './topic.js';

/** Who is asking, as the application's own `authenticate` knows them. */
export interface HttpUser {
  /** Tells this user from others. Text; a number is taken, too. */
  id: string;
  /** Whether everything is allowed. */
  admin: boolean;
}

/* eslint-disable @typescript-eslint/no-explicit-any -- Express's request or Fastify's: the application knows which */

/** Says who sends a request; `null` when nobody is known. */
export type AuthenticateFunction = (request: any) => HttpUser | null | Promise<HttpUser | null>;

/** Judges a request. */
export type AccessFunction = (request: any) => boolean | Promise<boolean>;

/* eslint-enable @typescript-eslint/no-explicit-any */

/** Whom a rule admits: administrators, whoever is known, everybody, or those whom a function admits. */
export type AccessRule = 'admin' | 'authenticated' | 'public' | AccessFunction;

/** A guard as Nest knows it, by its shape. */
export interface AdminGuard {
  canActivate(context: never): unknown;
}

/** A guard, or its class. */
export type AdminGuardLike = AdminGuard | (abstract new (...args: never[]) => AdminGuard);

/** Edits a copy of a job before it leaves over HTTP, and returns what may leave. */
export type RedactFunction = (job: Job) => Job | Promise<Job>;

/**
 * Where the HTTP API is and who may use it. With none of `adminToken`, `guard` and `authenticate` nobody is known: rules that
 * ask who it is admit nobody.
 */
export interface HttpOptions {
  /** Base path. Default `'api/jobs'`. */
  path?: string | undefined;
  /** Bearer token of administrators. Default: the environment's JOBS_ADMIN_TOKEN, unless `guard` or `authenticate` is given. */
  adminToken?: string | undefined;
  /** The application's own guard, or its class: `true` means administrator. */
  guard?: AdminGuardLike | undefined;
  /** Says who sends a request. */
  authenticate?: AuthenticateFunction | undefined;
  /** Who may enqueue. Default `'admin'`. */
  enqueueRule?: AccessRule | undefined;
  /** Who may read, beside those whom `manageRule` admits. Default: nobody else. */
  readRule?: AccessRule | undefined;
  /** Who may manage: re-queue, promote, cancel and delete jobs, and read. Default `'admin'`. */
  manageRule?: AccessRule | undefined;
  /** The only topics that callers over HTTP reach, administrators too. Default: all. */
  allowedTopics?: readonly TopicName[] | undefined;
  /** Edits jobs before they leave. Default: they leave as they are. */
  redact?: RedactFunction | undefined;
}

/** {@link HttpOptions}, checked. */
export interface HttpSettings {
  readonly path: string;
  readonly adminToken: string | undefined;
  readonly guard: AdminGuardLike | undefined;
  readonly authenticate: AuthenticateFunction | undefined;
  readonly enqueueRule: AccessRule;
  readonly readRule: AccessRule | undefined;
  readonly manageRule: AccessRule;
  readonly allowedTopics: readonly string[] | undefined;
  readonly redact: RedactFunction | undefined;
}

/** Where the admin UI is. */
export interface UiOptions {
  /** Default `'admin/jobs'`. */
  path?: string | undefined;
  /** The files it is made of: a copy of the package's `dist/ui`, for bundled applications. Default: the package's own. */
  folder?: string | undefined;
}

/** {@link UiOptions}, checked. */
export interface UiSettings {
  readonly path: string;
  readonly folder: string | undefined;
}

/** Without the slashes at its ends. */
export function trimSlashes(path: string): string {
  return path.replace(/^\/|\/$/g, '');
}

/** A path below the global prefix, without slashes at its ends. */
const pathCheck: Check<string> = {
  expects: "a path such as 'api/jobs', of letters, digits and . _ ~ -",
  parse: (value) => {
    const path = typeof value === 'string' ? trimSlashes(value) : '';
    const isPath = path.split('/').every((part) => /^[\w.~-]+$/.test(part) && !/^\.{1,2}$/.test(part));
    return isPath ? path : undefined;
  },
};

/** The empty token counts as none: a variable that is not set must not let anybody in. The error quotes no secret. */
export function readAdminToken(value: unknown, path: string): string {
  if (typeof value !== 'string' || !/^[\x21-\x7e]{0,4096}$/.test(value)) {
    throw new InvalidOptionsError(path, 'expected printable ASCII without spaces, got something else');
  }
  return value;
}

function instanceOfFunction<T>(expects: string): Check<T> {
  return { expects, parse: (value) => (typeof value === 'function' ? (value as T) : undefined) };
}

const guardCheck: Check<AdminGuardLike> = {
  expects: 'a guard or its class',
  parse: (value, path) => {
    if (isGuard(value) || isGuardClass(value)) {
      return value as AdminGuardLike;
    }
    if (typeof value === 'function') {
      throw new InvalidOptionsError(path, `expected a guard or its class, got the function '${value.name}'`);
    }
    return undefined;
  },
};

/** Whether it can be asked. */
export function isGuard(value: unknown): value is AdminGuard {
  return typeof (value as AdminGuard | null | undefined)?.canActivate === 'function';
}

/** Of any class: `canActivate` may be a field, which only an instance has. */
function isGuardClass(value: unknown): boolean {
  return typeof value === 'function' && (isGuard(value.prototype) || /^class\b/.test(String(value)));
}

const ruleWords = oneOf('admin', 'authenticated', 'public');
const ruleCheck: Check<AccessRule> = {
  expects: `${ruleWords.expects} or a function of the request`,
  parse: (value, path) => (typeof value === 'function' ? (value as AccessFunction) : ruleWords.parse(value, path)),
};

/** Each option of the HTTP API, once. */
export const HTTP_OPTIONS = {
  path: { default: 'api/jobs', check: pathCheck, meaning: 'base path' },
  adminToken: {
    default: undefined,
    check: { expects: 'text', parse: readAdminToken },
    meaning: 'bearer token of administrators',
  } as Option<string | undefined>,
  guard: { default: undefined, check: guardCheck, meaning: 'admits administrators' } as Option<
    AdminGuardLike | undefined
  >,
  authenticate: {
    default: undefined,
    check: instanceOfFunction('a function of the request'),
    meaning: 'says who sends a request',
  } as Option<AuthenticateFunction | undefined>,
  enqueueRule: { default: 'admin', check: ruleCheck, meaning: 'who may enqueue' } as Option<AccessRule>,
  readRule: { default: undefined, check: ruleCheck, meaning: 'who may read, beside those who may manage' } as Option<
    AccessRule | undefined
  >,
  manageRule: { default: 'admin', check: ruleCheck, meaning: 'who may read and manage' } as Option<AccessRule>,
  allowedTopics: { default: undefined, check: listOf(topicNameCheck), meaning: 'what HTTP callers reach' } as Option<
    readonly string[] | undefined
  >,
  redact: {
    default: undefined,
    check: instanceOfFunction('a function of the job'),
    meaning: 'edits jobs before they leave',
  } as Option<RedactFunction | undefined>,
};

const folderCheck: Check<string> = {
  expects: 'the path of a folder',
  parse: (value) => (typeof value === 'string' && value !== '' ? value : undefined),
};

/** Each option of the admin UI, once. */
export const UI_OPTIONS = {
  path: { default: 'admin/jobs', check: pathCheck, meaning: 'where the admin UI is' },
  folder: { default: undefined, check: folderCheck, meaning: 'the files it is made of' } as Option<string | undefined>,
};

/** The option `http`, when it is not `false`. */
export const httpCheck: Check<HttpSettings> = {
  expects: 'an object',
  parse: (value) => (typeof value === 'object' && value !== null ? readHttpOptions(value) : undefined),
};

/** The option `ui`, when it is not `false`. */
export const uiCheck: Check<UiSettings> = {
  expects: 'an object',
  parse: (value, path) =>
    typeof value === 'object' && value !== null ? Object.freeze(readOptions(UI_OPTIONS, value, path)) : undefined,
};

/** @throws InvalidOptionsError for an unknown name, a refused value, or two ways to know callers. */
export function readHttpOptions(given: unknown = {}): HttpSettings {
  const settings = readOptions(HTTP_OPTIONS, given, 'http');
  const ways = (['adminToken', 'guard', 'authenticate'] as const).filter((name) => settings[name]);
  if (ways.length > 1) {
    throw new InvalidOptionsError(`http.${ways[1]!}`, `contradicts http.${ways[0]!}; give one of the two`);
  }
  return Object.freeze(settings);
}
