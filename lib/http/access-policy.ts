/*
 * Decides what a caller may do. In: a right, the caller of a request, and the topics that the request concerns. Out: nothing, the topics
 * that the caller may use, or an error.
 * The guard calls `ensureAllowed` before the request is read. It decides by the rules that depend on no topic. A rule that is a function
 * needs the topic, so each controller asks again once it knows it: `ensureTopics` for topics that the request names, `limitTopics` for
 * requests about all topics, `findAllowed` for a job, and `admitted` for what a response lists.
 */
import type { ExecutionContext } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { JobNotFoundError } from '../core/errors.js';
import type { AccessAction, AccessFunction, AccessRule, HttpSettings } from '../core/http-options.js';
import type { Job } from '../core/job.js';
import { KNOWN_TOPICS_MAX } from '../engine/topics/known-topics.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { ApiError, forbidden, invalidRequest, topicNotAllowed, toRefusal, unauthorized } from './api-error.js';
import type { Caller } from './caller-resolver.js';
import { ANONYMOUS, CallerResolver, HTTP_SETTINGS } from './caller-resolver.js';
import { isCrossOrigin } from './cross-origin.js';
import type { HttpRequest } from './http-adapter.js';
import { CROSS_ORIGIN, tooManyTopics } from './http.messages.js';

/** What a route requires. `any`: the caller has some right, or has signed in. */
export type AccessKind = AccessAction | 'any';

/** Topics that a caller may use; `null`: all. */
export type AllowedTopics = readonly string[] | null;

/** What a caller may do. */
interface Permissions {
  readonly caller: Caller;
  readonly enqueue: boolean;
  readonly read: boolean;
  readonly manage: boolean;
  /** The topics with which the caller may do one of these; `null`: all, or too many to list. */
  readonly topics: AllowedTopics;
}

/** How many answers of a rule are awaited at a time: each may be a query of the application. */
const QUESTIONS_AT_ONCE = 16;
/** No topic has this name. Functions are asked with it while no topic exists, so that they can reject a caller. */
export const NO_TOPIC = '';

/** The caller of one request, resolved at most once: when a rule first needs it. */
export class RequestIdentity {
  /** What each function has said to this caller, by action and topic. */
  readonly answers = new Map<AccessFunction, Map<string, Promise<boolean>>>();
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

  /** Whether the caller is an administrator. @throws as `callerOrAnonymous`. */
  async isAdmin(): Promise<boolean> {
    return (await this.callerOrAnonymous()).kind === 'admin';
  }

  /** A copy that identifies the caller again, for streams that check the caller again later. */
  createUnresolved(): RequestIdentity {
    return new RequestIdentity(this.context, this.resolver);
  }
}

/** Applies the access rules and the topic whitelist of the options. */
@Injectable()
export class AccessPolicy {
  /** Whether a search may read payloads, metadata and unique keys. */
  readonly searchesPayloads: boolean;

  private readonly identities = new WeakMap<HttpRequest, RequestIdentity>();

  constructor(
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(CallerResolver) private readonly resolver: CallerResolver,
    @Inject(JobsEngine) private readonly engine: JobsEngine,
  ) {
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
   * Admits callers whose right does not depend on a topic, and those for whom a function decides later.
   *
   * @throws ApiError 401 for an anonymous caller without the right, 403 for any other; 403 `CROSS_ORIGIN` for a change that a
   * page of another origin sends.
   */
  async ensureAllowed(kind: AccessKind, identity: RequestIdentity): Promise<void> {
    const isAdmitted = kind === 'any' ? await this.hasAnyRight(identity) : await this.mayHave(kind, identity);
    if (!isAdmitted) {
      throw await toDenial(identity);
    }
    if (isCrossOrigin(identity.request) && !this.resolver.hasToken(identity.request)) {
      throw new ApiError(403, 'CROSS_ORIGIN', CROSS_ORIGIN);
    }
  }

  /** Returns what the caller may do. A caller whom the application refuses has the rights of an anonymous caller. */
  async permissions(identity: RequestIdentity): Promise<Permissions> {
    const [enqueue, read, manage] = [
      await this.findTopics('enqueue', identity),
      await this.findTopics('read', identity),
      await this.findTopics('manage', identity),
    ];
    const scopes = [enqueue, read, manage].filter((topics) => topics !== undefined);
    const named = new Set(scopes.flatMap((topics) => topics ?? []));
    return {
      caller: await identity.callerOrAnonymous(),
      enqueue: enqueue !== undefined,
      read: read !== undefined,
      manage: manage !== undefined,
      topics: scopes.includes(null) ? null : [...named].filter(isTopic).sort(),
    };
  }

  /**
   * Checks topics that a request names, after the guard.
   *
   * @throws ApiError 403 for a topic with which the caller must not do this; 401 or 403 as `ensureAllowed` if it must with none; what a
   * function throws for one of the topics.
   */
  async ensureTopics(right: AccessAction, identity: RequestIdentity, topics: readonly string[]): Promise<void> {
    if (!(await this.isLimited(right, identity))) {
      return;
    }
    const { admitted, refusal } = await this.ask(right, identity, topics);
    const other = topics.find((topic) => !admitted.has(topic));
    if (other !== undefined) {
      await this.ensureSomeTopic(right, identity);
      throw refusal ?? topicNotAllowed(other);
    }
  }

  /**
   * Returns the topics of a request that may name some: those, or all that the caller may use.
   *
   * @throws ApiError as `ensureTopics`; 400 when no topic is named and there are too many to ask for each.
   */
  async limitTopics(
    right: AccessAction,
    identity: RequestIdentity,
    requested: readonly string[] | undefined,
  ): Promise<AllowedTopics> {
    if (requested) {
      await this.ensureTopics(right, identity, requested);
      return requested;
    }
    if (!(await this.isLimited(right, identity))) {
      return null;
    }
    const candidates = await this.findCandidates();
    if (candidates === null) {
      throw invalidRequest({ topic: tooManyTopics(KNOWN_TOPICS_MAX) });
    }
    const { admitted, refusal } = await this.ask(right, identity, candidates);
    if (admitted.size === 0) {
      throw refusal ?? (await toDenial(identity));
    }
    return candidates.filter((topic) => admitted.has(topic) && isTopic(topic));
  }

  /** Returns on which of these topics the caller has a right, whether the guard has asked for it or not. */
  async admitted(
    right: AccessAction,
    identity: RequestIdentity,
    topics: readonly string[],
  ): Promise<(topic: string) => boolean> {
    const { admitted } = await this.ask(right, identity, topics);
    return (topic) => admitted.has(topic);
  }

  /** Adds whether a search may read payloads: it would reveal what `redact` hides. */
  limitSearch<Filter extends object>(filter: Filter): Filter & { readonly searchPayloads: boolean } {
    return { ...filter, searchPayloads: this.searchesPayloads };
  }

  /** Whether the rules limit the caller to some topics. */
  async isLimited(right: AccessAction, identity: RequestIdentity): Promise<boolean> {
    const isWhitelisted = this.settings.allowedTopics !== undefined;
    if (!isWhitelisted && !this.rules(right).some(({ rule }) => isFunction(rule))) {
      return false;
    }
    if (await identity.isAdmin()) {
      return false;
    }
    return isWhitelisted || !(await unlessRefused(this.admitsAlways(right, identity), false));
  }

  /**
   * @throws ApiError 401 or 403 when the caller has the right on no topic, or what a function throws. With too many topics to ask for
   * each it does not throw.
   */
  async ensureSomeTopic(right: AccessAction, identity: RequestIdentity): Promise<void> {
    const candidates = (await this.isLimited(right, identity)) ? await this.findCandidates() : null;
    if (candidates !== null) {
      const { admitted, refusal } = await this.ask(right, identity, candidates);
      if (admitted.size === 0) {
        throw refusal ?? (await toDenial(identity));
      }
    }
  }

  /** Returns `undefined` for a caller without the right, and `null` for one with the right on all topics, or on too many to list. */
  private async findTopics(right: AccessAction, identity: RequestIdentity): Promise<AllowedTopics | undefined> {
    if (!(await unlessRefused(this.mayHave(right, identity), false))) {
      return undefined;
    }
    const candidates = (await this.isLimited(right, identity)) ? await this.findCandidates() : null;
    if (candidates === null) {
      return null;
    }
    const { admitted } = await this.ask(right, identity, candidates);
    return admitted.size > 0 ? [...admitted] : undefined;
  }

  /** Returns the topics that a limited caller may use at most; `null`: too many. */
  private async findCandidates(): Promise<AllowedTopics> {
    const { allowedTopics } = this.settings;
    const topics = Array.isArray(allowedTopics) ? allowedTopics : await this.engine.knownTopics.list();
    if (topics === null || topics.length > KNOWN_TOPICS_MAX) {
      return null;
    }
    return topics.length === 0 ? [NO_TOPIC] : topics;
  }

  /** Asks for each of the topics. A refusal that a function throws counts as no. */
  private async ask(right: AccessAction, identity: RequestIdentity, topics: readonly string[]): Promise<Answers> {
    const admitted = new Set<string>();
    let refusal: ApiError | undefined;
    const askOne = async (topic: string): Promise<void> => {
      const answer = await unlessRefused<boolean | ApiError>(this.decide(right, identity, topic), (error) => error);
      if (answer === true) {
        admitted.add(topic);
      } else if (answer !== false) {
        refusal ??= answer;
      }
    };
    const distinct = [...new Set(topics)];
    for (let start = 0; start < distinct.length; start += QUESTIONS_AT_ONCE) {
      await Promise.all(distinct.slice(start, start + QUESTIONS_AT_ONCE).map(askOne));
    }
    return { admitted, refusal };
  }

  /** Whether the caller has the right, or a function may give it on some topic. */
  private async mayHave(right: AccessAction, identity: RequestIdentity): Promise<boolean> {
    return this.rules(right).some(({ rule }) => isFunction(rule)) || this.admitsAlways(right, identity);
  }

  private async hasAnyRight(identity: RequestIdentity): Promise<boolean> {
    if ((await identity.callerOrAnonymous()).kind !== 'anonymous') {
      return true;
    }
    const { enqueue, read } = await this.permissions(identity);
    return enqueue || read;
  }

  private async decide(right: AccessAction, identity: RequestIdentity, topic: string): Promise<boolean> {
    if (!(await this.isInWhitelist(right, identity, topic))) {
      return false;
    }
    return firstAdmits(this.rules(right), ({ rule, action }) =>
      isFunction(rule) ? this.call(rule, action, identity, topic) : admitsCaller(rule, identity),
    );
  }

  /** Whether `http.allowedTopics` lets the caller reach the topic at all. It does not bind administrators. */
  private async isInWhitelist(right: AccessAction, identity: RequestIdentity, topic: string): Promise<boolean> {
    const { allowedTopics } = this.settings;
    if (allowedTopics === undefined || (await identity.isAdmin())) {
      return true;
    }
    return typeof allowedTopics === 'function'
      ? this.call(allowedTopics, right, identity, topic)
      : allowedTopics.includes(topic);
  }

  /** Whether a rule that depends on no topic admits the caller. */
  private admitsAlways(right: AccessAction, identity: RequestIdentity): Promise<boolean> {
    const fixed = this.rules(right).flatMap(({ rule }) => (isFunction(rule) ? [] : [rule]));
    return firstAdmits(fixed, (rule) => admitsCaller(rule, identity));
  }

  /** The rules of which one must admit. Managers may read. */
  private rules(right: AccessAction): readonly { readonly rule: AccessRule; readonly action: AccessAction }[] {
    const { enqueueRule, readRule, manageRule } = this.settings;
    if (right === 'enqueue') {
      return [{ rule: enqueueRule, action: 'enqueue' }];
    }
    const manage = { rule: manageRule, action: 'manage' } as const;
    if (right === 'manage' || (readRule === 'admin' && manageRule !== 'nobody')) {
      // Every rule but 'nobody' admits administrators.
      return [manage];
    }
    const read = { rule: readRule, action: 'read' } as const;
    // First the rule that needs no sign-in, because resolving the caller may throw.
    return needsCaller(readRule) ? [manage, read] : [read, manage];
  }

  /** Calls a function once in a request for each action and topic. It is not called for administrators. */
  private call(rule: AccessFunction, action: AccessAction, identity: RequestIdentity, topic: string): Promise<boolean> {
    const answers = identity.answers.get(rule) ?? new Map<string, Promise<boolean>>();
    identity.answers.set(rule, answers);
    const key = `${action} ${topic}`;
    const answer = answers.get(key) ?? callRule(rule, action, identity, topic);
    answers.set(key, answer);
    return answer;
  }
}

/** What the rules say to several topics. */
interface Answers {
  readonly admitted: ReadonlySet<string>;
  /** The first error with which a function, or the application's guard, refused. */
  readonly refusal: ApiError | undefined;
}

async function callRule(
  rule: AccessFunction,
  action: AccessAction,
  identity: RequestIdentity,
  topic: string,
): Promise<boolean> {
  const known = await identity.callerOrAnonymous();
  if (known.kind === 'admin') {
    return true;
  }
  const caller = known.kind === 'user' ? { id: known.id, admin: false } : null;
  try {
    return (await rule({ request: identity.request, caller, topic, action })) === true;
  } catch (error) {
    throw toRefusal(error);
  }
}

/** Whether one of the rules admits. @throws the first refusal of the application if none does. */
async function firstAdmits<Rule>(rules: readonly Rule[], admits: (rule: Rule) => Promise<boolean>): Promise<boolean> {
  let refusal: ApiError | undefined;
  for (const rule of rules) {
    const answer = await unlessRefused<boolean | ApiError>(admits(rule), (error) => error);
    if (answer === true) {
      return true;
    }
    refusal ??= answer || undefined;
  }
  if (refusal) {
    throw refusal;
  }
  return false;
}

function isFunction(rule: AccessRule): rule is AccessFunction {
  return typeof rule === 'function';
}

/** Whether a rule admits identified callers only. */
export function needsCaller(rule: AccessRule): rule is 'admin' | 'authenticated' {
  return rule === 'admin' || rule === 'authenticated';
}

async function admitsCaller(rule: Exclude<AccessRule, AccessFunction>, identity: RequestIdentity): Promise<boolean> {
  if (!needsCaller(rule)) {
    return rule === 'public';
  }
  const { kind } = await identity.caller();
  return kind === 'admin' || (rule === 'authenticated' && kind === 'user');
}

/** 401 for an anonymous caller, 403 for any other. */
async function toDenial(identity: RequestIdentity): Promise<ApiError> {
  return (await identity.caller()).kind === 'anonymous' ? unauthorized() : forbidden();
}

/** Returns the result, or `otherwise` when the application refuses the request. @throws other errors. */
async function unlessRefused<T>(result: Promise<T>, otherwise: T | ((error: ApiError) => T)): Promise<T> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof ApiError && error.status < 500) {
      return typeof otherwise === 'function' ? (otherwise as (error: ApiError) => T)(error) : otherwise;
    }
    throw error;
  }
}

function isTopic(topic: string): boolean {
  return topic !== NO_TOPIC;
}

/**
 * Returns a job with which the caller may do this. A caller who may not read the job gets the same error as for a job that does not exist.
 *
 * @throws JobNotFoundError; ApiError 403 for a job that the caller may read, and nothing more; 401 or 403 for a caller without the right
 * on any topic.
 */
export async function findAllowed(
  engine: JobsEngine,
  access: AccessPolicy,
  identity: RequestIdentity,
  id: string,
  right: 'read' | 'manage' = 'read',
): Promise<Job> {
  const job = await engine.jobs.get(id);
  const mayRead = await access.admitted('read', identity, job ? [job.topic] : []);
  if (job && mayRead(job.topic)) {
    if (right === 'manage') {
      await access.ensureTopics('manage', identity, [job.topic]);
    }
    return job;
  }
  await access.ensureSomeTopic(right, identity);
  throw new JobNotFoundError(id);
}
