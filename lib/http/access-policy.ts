import type { IncomingHttpHeaders } from 'node:http';
import type { ExecutionContext } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { JobNotFoundError } from '../core/errors.js';
import type { AccessRule, HttpSettings } from '../core/http-options.js';
import type { Job } from '../core/job.js';
import type { JobsEngine } from '../engine/jobs-engine.js';
import { ApiError, forbidden, topicNotAllowed, toRefusal, unauthorized } from './api-error.js';
import type { Caller } from './caller-resolver.js';
import { ANONYMOUS, CallerResolver, HTTP_SETTINGS } from './caller-resolver.js';
import type { HttpRequest } from './http-adapter.js';
import { CROSS_ORIGIN } from './http.messages.js';

/** What a rule allows: to enqueue; to read; to requeue, promote, cancel and delete. */
type Right = 'enqueue' | 'read' | 'manage';

/** What a route requires. `any`: the caller has some right, or has signed in. */
export type AccessKind = Right | 'any';

/** What a caller may do. */
interface Permissions {
  readonly caller: Caller;
  readonly enqueue: boolean;
  readonly read: boolean;
  readonly manage: boolean;
}

/** The caller of one request, resolved at most once: when a rule first needs it. */
export class RequestIdentity {
  private resolved: Promise<Caller> | undefined;

  constructor(
    private readonly context: ExecutionContext,
    private readonly resolver: CallerResolver,
  ) {}

  get request(): HttpRequest {
    return this.context.switchToHttp().getRequest<HttpRequest>();
  }

  /** @throws ApiError when `http.adminGuard` or `http.authenticate` rejects. */
  caller(): Promise<Caller> {
    return (this.resolved ??= this.resolver.resolve(this.context));
  }

  /** The caller; anonymous when the application refuses the request. @throws any other error of the application. */
  callerOrAnonymous(): Promise<Caller> {
    return unlessRefused(this.caller(), ANONYMOUS);
  }

  /** A copy that identifies the caller again, for streams that check the caller again later. */
  createUnresolved(): RequestIdentity {
    return new RequestIdentity(this.context, this.resolver);
  }
}

/** Applies the access rules and the topic whitelist of the options. */
@Injectable()
export class AccessPolicy {
  /** The topics of `http.allowedTopics`; `null`: there is no whitelist. */
  readonly topics: readonly string[] | null;
  /** Whether a search may read payloads, metadata and unique keys. */
  readonly searchesPayloads: boolean;

  private readonly identities = new WeakMap<HttpRequest, RequestIdentity>();

  constructor(
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(CallerResolver) private readonly resolver: CallerResolver,
  ) {
    this.topics = settings.allowedTopics ?? null;
    this.searchesPayloads = settings.searchPayloads;
  }

  /** Creates the identity of a request, for `getIdentity`. */
  identify(context: ExecutionContext): RequestIdentity {
    const identity = new RequestIdentity(context, this.resolver);
    this.identities.set(identity.request, identity);
    return identity;
  }

  /** The identity of a request that the guard has admitted. */
  getIdentity(request: HttpRequest): RequestIdentity {
    return this.identities.get(request)!;
  }

  /**
   * @throws ApiError 401 for an anonymous caller without the right, 403 for any other; 403 `CROSS_ORIGIN` for a change that a
   * page of another origin sends.
   */
  async ensureAllowed(kind: AccessKind, identity: RequestIdentity): Promise<void> {
    const isAdmitted = kind === 'any' ? await this.hasAnyRight(identity) : await this.hasRight(kind, identity);
    if (!isAdmitted) {
      throw (await identity.caller()).kind === 'anonymous' ? unauthorized() : forbidden();
    }
    if (isCrossOrigin(identity.request) && !this.resolver.hasToken(identity.request)) {
      throw new ApiError(403, 'CROSS_ORIGIN', CROSS_ORIGIN);
    }
  }

  /** Returns what the caller may do. A caller whom the application refuses has the rights of an anonymous caller. */
  async permissions(identity: RequestIdentity): Promise<Permissions> {
    const { enqueueRule, readRule, manageRule } = this.settings;
    const enqueue = await this.admitsOrFalse(enqueueRule, identity);
    const manage = await this.admitsOrFalse(manageRule, identity);
    const read = manage || (readRule !== undefined && (await this.admitsOrFalse(readRule, identity)));
    return { caller: await identity.callerOrAnonymous(), enqueue, read, manage };
  }

  /** @throws ApiError 403 when the whitelist lacks one of the topics. */
  ensureTopics(topics: readonly string[]): void {
    const other = topics.find((topic) => !this.isTopicAllowed(topic));
    if (other !== undefined) {
      throw topicNotAllowed(other);
    }
  }

  /** @throws ApiError 403 when the topic of a job that was requested by id is not in the whitelist. Does not reveal the topic. */
  ensureTopicOfJob(topic: string): void {
    if (!this.isTopicAllowed(topic)) {
      throw topicNotAllowed();
    }
  }

  /** Returns `requested`, or the whitelist if no topic was requested. @throws ApiError 403 for a topic that is not allowed. */
  limitTopics(requested: readonly string[] | undefined): readonly string[] | null {
    this.ensureTopics(requested ?? []);
    return requested ?? this.topics;
  }

  /**
   * Adds the whitelist of topics, and whether a search may read payloads: it would reveal what `redact` hides.
   *
   * @throws ApiError 403 for a topic that is not allowed.
   */
  limitFilter<Filter extends { readonly topic?: readonly string[] }>(
    filter: Filter,
  ): Filter & { readonly searchPayloads: boolean } {
    const topic = this.limitTopics(filter.topic);
    return { ...filter, ...(topic && { topic }), searchPayloads: this.searchesPayloads };
  }

  private isTopicAllowed(topic: string): boolean {
    return this.topics?.includes(topic) ?? true;
  }

  private async hasRight(right: Right, identity: RequestIdentity): Promise<boolean> {
    const { enqueueRule, readRule, manageRule } = this.settings;
    if (right === 'enqueue') {
      return this.admits(enqueueRule, identity);
    }
    if (right === 'manage' || readRule === undefined) {
      return this.admits(manageRule, identity);
    }
    // Managers may read. Try first the rule that needs no sign-in, because resolving the caller may throw.
    const [first, second] = needsCaller(readRule) ? [manageRule, readRule] : [readRule, manageRule];
    return (await this.admitsOrFalse(first, identity)) || this.admits(second, identity);
  }

  private async hasAnyRight(identity: RequestIdentity): Promise<boolean> {
    const { caller, enqueue, read } = await this.permissions(identity);
    return enqueue || read || caller.kind !== 'anonymous';
  }

  private async admitsOrFalse(rule: AccessRule, identity: RequestIdentity): Promise<boolean> {
    return needsCaller(rule)
      ? admitsCaller(rule, await identity.callerOrAnonymous())
      : unlessRefused(this.admits(rule, identity), false);
  }

  private async admits(rule: AccessRule, identity: RequestIdentity): Promise<boolean> {
    if (rule === 'public') {
      return true;
    }
    if (typeof rule === 'function') {
      try {
        return (await rule(identity.request)) === true;
      } catch (error) {
        throw toRefusal(error);
      }
    }
    return admitsCaller(rule, await identity.caller());
  }
}

/** Whether a rule admits identified callers only. */
export function needsCaller(rule: AccessRule): rule is 'admin' | 'authenticated' {
  return rule === 'admin' || rule === 'authenticated';
}

function admitsCaller(rule: 'admin' | 'authenticated', { kind }: Caller): boolean {
  return kind === 'admin' || (rule === 'authenticated' && kind === 'user');
}

/** Returns the result, or `otherwise` when the application refuses the request. @throws other errors. */
async function unlessRefused<T>(result: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof ApiError && error.status < 500) {
      return otherwise;
    }
    throw error;
  }
}

const SAFE_METHODS = ['GET', 'HEAD'];

/** Credentials that a browser remembers and adds to requests of any page. */
const ADDED_BY_BROWSERS = /^(basic|digest|negotiate|ntlm)\b/i;

/**
 * Whether a browser sends a change for a page of another origin, with the user's cookies or remembered sign-in. Ignores
 * `X-Forwarded-Host`, because any client can send it.
 */
export function isCrossOrigin({ method, headers }: Pick<HttpRequest, 'method' | 'headers'>): boolean {
  const isSignedIn = headers.cookie !== undefined || ADDED_BY_BROWSERS.test(headers.authorization ?? '');
  if (SAFE_METHODS.includes(method) || !isSignedIn) {
    return false;
  }
  const site = headers['sec-fetch-site'];
  return site === 'cross-site' || site === 'same-site' || !isSameOrigin(headers.origin, readHost(headers));
}

/** HTTP/2 has a pseudo-header instead of `host`. */
function readHost(headers: IncomingHttpHeaders): string | undefined {
  return headers.host ?? (headers[':authority'] as string | undefined);
}

/** Browsers send `Origin` with every change of another origin. A request without it comes from the same origin, or from no browser. */
function isSameOrigin(origin: string | undefined, host: string | undefined): boolean {
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === normalizeHost(origin, host));
}

/** Removes the default port of the origin's scheme. */
function normalizeHost(origin: string, host: string | undefined): string | undefined {
  const url = `${new URL(origin).protocol}//${host}`;
  return host !== undefined && URL.canParse(url) ? new URL(url).host : undefined;
}

/** Returns a job. @throws JobNotFoundError; ApiError 403 for a job of a topic that is not allowed. */
export async function findAllowed(engine: JobsEngine, access: AccessPolicy, id: string): Promise<Job> {
  const job = await engine.jobs.get(id);
  if (!job) {
    throw new JobNotFoundError(id);
  }
  access.ensureTopicOfJob(job.topic);
  return job;
}
