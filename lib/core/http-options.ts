import { DEPENDENCY_OPTIONS } from './dependencies.js';
import { InvalidOptionsError } from './errors.js';
import { CODE_OPTIONS, ENQUEUE_OPTIONS } from './job-options.js';
import type { Job } from './job.js';
import type { Check } from './option-checks.js';
import { flag, functionCheck, listOf, oneOf, option, optional, readOptions } from './option-checks.js';
import type { TopicName } from './topic.js';
import { topicNameCheck } from './topic.js';
import type { SnakeCase } from './wire-name.js';
import { toWireName } from './wire-name.js';

/** A caller, as `http.authenticate` returns it. */
export interface HttpUser {
  /** Unique for each user. A number is accepted, too. */
  id: string;
  /** Whether the user is an administrator. */
  admin: boolean;
}

/* eslint-disable @typescript-eslint/no-explicit-any -- an Express or Fastify request: the application knows which */

/** Identifies the caller of a request; `null` for an unknown caller. */
export type AuthenticateFunction = (request: any) => HttpUser | null | Promise<HttpUser | null>;

/**
 * The right that a rule grants: to enqueue jobs, to read, or to manage. To manage is to re-queue, promote, cancel and delete jobs, and to
 * change topics and schedules.
 */
export type AccessAction = 'enqueue' | 'read' | 'manage';

/** What a rule that is a function receives. */
export interface AccessQuestion {
  /** The request of Express or Fastify. */
  readonly request: any;
  /** The user that `http.authenticate` returned; `null` for an unknown caller. Never an administrator, whom rules admit without a call. */
  readonly caller: HttpUser | null;
  /** The topic of the jobs that the request concerns. For a request about several topics, the API calls the rule for each of them. */
  readonly topic: string;
  /** The right that the request needs. */
  readonly action: AccessAction;
}

/* eslint-enable @typescript-eslint/no-explicit-any */

/** Decides whether a caller may do something with the jobs of a topic. */
export type AccessFunction = (question: AccessQuestion) => boolean | Promise<boolean>;

/**
 * Admits administrators, known callers, all callers, no caller, or those that a function admits. Every rule except `'nobody'` admits
 * administrators; the API does not call the function for them.
 */
export type AccessRule = 'admin' | 'authenticated' | 'public' | 'nobody' | AccessFunction;

/** The options of a job in requests. */
type RequestOption =
  Exclude<keyof typeof ENQUEUE_OPTIONS, (typeof CODE_OPTIONS)[number]> | keyof typeof DEPENDENCY_OPTIONS;

/** A field of a job in requests. */
export type EnqueueField = 'topic' | 'payload' | SnakeCase<RequestOption>;

/** The fields of a job in requests, by their names on the wire. */
export const ENQUEUE_FIELDS: readonly EnqueueField[] = [
  'topic',
  'payload',
  ...Object.keys({ ...ENQUEUE_OPTIONS, ...DEPENDENCY_OPTIONS })
    .filter((name) => !(CODE_OPTIONS as readonly string[]).includes(name))
    .map((name) => toWireName(name as RequestOption)),
];

/**
 * Fields that change no other job. With two of them a caller can get in the way of others: a `runAt` in the past starts the job before those
 * of its priority that became due later, and while a delayed job holds a unique key, no other caller can store a job with this key.
 */
const DEFAULT_ENQUEUE_FIELDS = ['topic', 'payload', 'run_at', 'delay', 'unique_key', 'metadata'] as const;

/** A Nest guard. */
export interface AdminGuard {
  canActivate(context: never): unknown;
}

/** A guard, or its class. */
export type AdminGuardLike = AdminGuard | (abstract new (...args: never[]) => AdminGuard);

/** Edits a copy of a job before the API sends it, and returns the job to send. */
export type RedactFunction = (job: Job) => Job | Promise<Job>;

/**
 * Path and access rules of the HTTP API. Set one of `adminToken`, `adminGuard` and `authenticate`. Without one, the API
 * rejects every request, unless a rule is `'public'` or a function.
 */
export interface HttpOptions {
  /** Base path, below the application's global prefix. Default `'api/jobs'`. */
  path?: string | undefined;
  /**
   * Class decorators for the controllers of the API and of the admin UI, such as `Public()`. Default: none.
   * `ApiExcludeController(false)` of @nestjs/swagger adds the API to the application's Swagger document.
   */
  decorators?: readonly ClassDecorator[] | undefined;
  /** Bearer token of administrators. Default: the environment's JOBS_ADMIN_TOKEN, unless `adminGuard` or `authenticate` is set. */
  adminToken?: string | undefined;
  /**
   * The application's own guard, or its class. `true` means administrator, so `AuthGuard('jwt')` alone is wrong: it returns
   * `true` for every user with a valid token.
   */
  adminGuard?: AdminGuardLike | undefined;
  /** Identifies the caller of a request. */
  authenticate?: AuthenticateFunction | undefined;
  /** Who may enqueue. Default `'admin'`. */
  enqueueRule?: AccessRule | undefined;
  /** Who may read, besides the callers that may manage. Default `'admin'`. */
  readRule?: AccessRule | undefined;
  /** Who may requeue, promote, cancel and delete jobs, and read. Default `'admin'`. */
  manageRule?: AccessRule | undefined;
  /**
   * The fields of a job that callers without the right to manage its topic may set. They may always set `topic` and `payload`. Default:
   * `topic`, `payload`, `run_at`, `delay`, `unique_key` and `metadata`.
   */
  enqueueFields?: readonly EnqueueField[] | undefined;
  /**
   * The only topics that requests of callers other than administrators reach: a list, or a function that says so for each caller, topic and
   * action. Default: those that the rules admit. Unless a list names it, a caller without the right to manage a topic enqueues only if the
   * topic exists.
   */
  allowedTopics?: readonly TopicName[] | AccessFunction | undefined;
  /** Serves `GET metrics` for Prometheus. Needs the package `prom-client`. Default `false`. */
  metrics?: boolean | undefined;
  /** Edits jobs before the API sends them. Default: no change. */
  redact?: RedactFunction | undefined;
  /**
   * Whether the search of the API reads payloads, metadata and unique keys, as they are stored. Default: `true` without `redact`, `false`
   * with it, since a search would reveal what `redact` hides.
   */
  searchPayloads?: boolean | undefined;
}

/** {@link HttpOptions}, checked. */
export interface HttpSettings {
  readonly path: string;
  readonly decorators: readonly ClassDecorator[];
  readonly adminToken: string | undefined;
  readonly adminGuard: AdminGuardLike | undefined;
  readonly authenticate: AuthenticateFunction | undefined;
  readonly enqueueRule: AccessRule;
  readonly readRule: AccessRule;
  readonly manageRule: AccessRule;
  readonly enqueueFields: readonly EnqueueField[];
  readonly allowedTopics: readonly string[] | AccessFunction | undefined;
  readonly metrics: boolean;
  readonly redact: RedactFunction | undefined;
  readonly searchPayloads: boolean;
}

/** Removes a leading and a trailing slash. */
export function trimSlashes(path: string): string {
  return path.replace(/^\/|\/$/g, '');
}

/** A path below the global prefix, without a leading or trailing slash. */
export const pathCheck: Check<string> = {
  expects: "a path such as 'api/jobs', of letters, digits and . _ ~ -",
  parse: (value) => {
    const path = typeof value === 'string' ? trimSlashes(value) : '';
    const isPath = path.split('/').every((part) => /^[\w.~-]+$/.test(part) && !/^\.{1,2}$/.test(part));
    return isPath ? path : undefined;
  },
};

/** An empty token is no token: an unset variable must not admit callers. The error does not quote the value. */
export function readAdminToken(value: unknown, path: string): string {
  if (typeof value !== 'string' || !/^[\x21-\x7e]{0,4096}$/.test(value)) {
    throw new InvalidOptionsError(path, 'expected printable ASCII without spaces, got something else');
  }
  return value;
}

const decoratorsCheck: Check<readonly ClassDecorator[]> = {
  expects: 'a list of class decorators',
  parse: (value) =>
    Array.isArray(value) && value.every((each) => typeof each === 'function')
      ? Object.freeze([...(value as ClassDecorator[])])
      : undefined,
};

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

/** Returns whether the value has a `canActivate` method. */
export function isGuard(value: unknown): value is AdminGuard {
  return typeof (value as AdminGuard | null | undefined)?.canActivate === 'function';
}

/** Accepts every class: `canActivate` may be a field of the instance. */
function isGuardClass(value: unknown): boolean {
  return typeof value === 'function' && (isGuard(value.prototype) || /^class\b/.test(String(value)));
}

const ruleWords = oneOf('admin', 'authenticated', 'public', 'nobody');
const ruleCheck: Check<AccessRule> = {
  expects: `${ruleWords.expects} or a function of { request, caller, topic, action }`,
  parse: (value, path) => (typeof value === 'function' ? (value as AccessFunction) : ruleWords.parse(value, path)),
};

const topicList = listOf(topicNameCheck);
const allowedTopicsCheck: Check<readonly string[] | AccessFunction> = {
  expects: `${topicList.expects}, or a function of { request, caller, topic, action }`,
  parse: (value, path) => (typeof value === 'function' ? (value as AccessFunction) : topicList.parse(value, path)),
};

/** Default and check of each option of the HTTP API. {@link HttpOptions} documents them. */
export const HTTP_OPTIONS = {
  path: option('api/jobs', pathCheck),
  decorators: option([], decoratorsCheck),
  adminToken: optional<string>({ expects: 'text', parse: readAdminToken }),
  adminGuard: optional(guardCheck),
  authenticate: optional(functionCheck<AuthenticateFunction>('a function of the request')),
  enqueueRule: option('admin', ruleCheck),
  readRule: option('admin', ruleCheck),
  manageRule: option('admin', ruleCheck),
  enqueueFields: option(DEFAULT_ENQUEUE_FIELDS, listOf(oneOf(...ENQUEUE_FIELDS))),
  allowedTopics: optional(allowedTopicsCheck),
  metrics: option(false, flag),
  redact: optional(functionCheck<RedactFunction>('a function of the job')),
  searchPayloads: optional(flag),
};

/** The option `http`, unless it is `false`. */
export const httpCheck: Check<HttpSettings> = {
  expects: 'an object',
  parse: (value) => (typeof value === 'object' && value !== null ? readHttpOptions(value) : undefined),
};

/** Checks the option `http`. @throws InvalidOptionsError for an unknown name, an invalid value, or two ways to identify callers. */
export function readHttpOptions(given: unknown = {}): HttpSettings {
  const settings = readOptions(HTTP_OPTIONS, given, 'http');
  const ways = (['adminToken', 'adminGuard', 'authenticate'] as const).filter((name) => settings[name]);
  if (ways.length > 1) {
    throw new InvalidOptionsError(`http.${ways[1]!}`, `contradicts http.${ways[0]!}; give one of the two`);
  }
  return Object.freeze({ ...settings, searchPayloads: settings.searchPayloads ?? settings.redact === undefined });
}
