import { Inject, Injectable } from '@nestjs/common';
import type { AccessRule, HttpSettings } from '../core/http-options.js';
import { ApiError, forbidden, refusalOf, topicNotAllowed, unauthorized } from './api-error.js';
import type { AccessKind, Caller, Right } from './caller.js';
import { ANONYMOUS } from './caller.js';
import type { GuardedMethod } from './callers.js';
import { Callers } from './callers.js';
import { isFromElsewhere } from './cross-origin.js';
import type { HttpExchange } from './http-exchange.js';
import { HTTP_SETTINGS } from './http.tokens.js';

/** A request whose caller is found out when somebody asks, and once. */
export interface Visit {
  readonly exchange: HttpExchange;
  /** @throws ApiError when the application's guard refuses. */
  caller(): Promise<Caller>;
  /** The same request, of which nothing is known yet. */
  again(): Visit;
}

/** What a caller may do. */
export interface Permissions {
  readonly caller: Caller;
  readonly enqueue: boolean;
  readonly read: boolean;
  readonly manage: boolean;
}

/** Judges who may do what. */
@Injectable()
export class Access {
  private readonly allowedTopics: readonly string[] | null;

  constructor(
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(Callers) private readonly callers: Callers,
  ) {
    this.allowedTopics = settings.allowedTopics ?? null;
  }

  /** The only topics that are shown and moved; `null` is all of them. */
  get topics(): readonly string[] | null {
    return this.allowedTopics;
  }

  /** A request of which nothing is known yet. */
  visit(exchange: HttpExchange, method: GuardedMethod): Visit {
    let caller: Promise<Caller> | undefined;
    return {
      exchange,
      caller: () => (caller ??= this.callers.callerOf(exchange, method)),
      again: () => this.visit(exchange, method),
    };
  }

  /** @throws ApiError 401 when nobody is known to ask, 403 when that is not allowed. */
  async ensure(kind: AccessKind, visit: Visit): Promise<void> {
    const isAdmitted = kind === 'any' ? await this.maySomething(visit) : await this.may(kind, visit);
    if (!isAdmitted) {
      throw (await visit.caller()).kind === 'anonymous' ? unauthorized() : forbidden();
    }
    if (isFromElsewhere(visit.exchange) && !this.callers.hasToken(visit.exchange)) {
      throw new ApiError(
        403,
        'CROSS_ORIGIN',
        'requests with cookies or a sign-in of the browser that change something must come from this origin',
      );
    }
  }

  /** The same later, for an answer that goes on: sessions end, and rules change their mind. */
  ensureStill(kind: AccessKind, visit: Visit): Promise<void> {
    return this.ensure(kind, visit.again());
  }

  /** What whoever asks may do; one whom the guard refuses may do what is open to everybody. */
  async permissions(visit: Visit): Promise<Permissions> {
    const { enqueueRule, readRule, manageRule } = this.settings;
    const enqueue = await this.admitsAnyway(enqueueRule, visit);
    const manage = await this.admitsAnyway(manageRule, visit);
    const read = manage || (readRule !== undefined && (await this.admitsAnyway(readRule, visit)));
    return { caller: await this.known(visit), enqueue, read, manage };
  }

  /** Who asks; nobody when the guard refuses. @throws whatever keeps them from being judged */
  known(visit: Visit): Promise<Caller> {
    return unlessRefused(visit.caller(), ANONYMOUS);
  }

  /** @throws ApiError 403 when callers over HTTP do not reach one of the topics. */
  ensureTopics(topics: readonly string[]): void {
    const foreign = topics.find((topic) => !this.reaches(topic));
    if (foreign !== undefined) {
      throw topicNotAllowed(`topic '${foreign}'`);
    }
  }

  /** The same for a job that was asked for by its id: its topic is not told. */
  ensureTopicOfJob(topic: string): void {
    if (!this.reaches(topic)) {
      throw topicNotAllowed('the topic of this job');
    }
  }

  /** The topics that an answer is about: those that were asked for, if all are reached, else all that are. */
  narrowed(asked: readonly string[] | undefined): readonly string[] | null {
    this.ensureTopics(asked ?? []);
    return asked ?? this.allowedTopics;
  }

  private reaches(topic: string): boolean {
    return this.allowedTopics?.includes(topic) ?? true;
  }

  private async may(right: Right, visit: Visit): Promise<boolean> {
    const { enqueueRule, readRule, manageRule } = this.settings;
    if (right === 'enqueue') {
      return this.admits(enqueueRule, visit);
    }
    if (right === 'manage' || readRule === undefined) {
      return this.admits(manageRule, visit);
    }
    // Whoever may manage may read. Asked first is the rule that needs no caller: who that is may be hard to find out.
    const [first, second] = needsCaller(readRule) ? [manageRule, readRule] : [readRule, manageRule];
    return (await this.admitsAnyway(first, visit)) || this.admits(second, visit);
  }

  private async maySomething(visit: Visit): Promise<boolean> {
    const { caller, enqueue, read } = await this.permissions(visit);
    return enqueue || read || caller.kind !== 'anonymous';
  }

  private async admitsAnyway(rule: AccessRule, visit: Visit): Promise<boolean> {
    return needsCaller(rule)
      ? hasStanding(rule, await this.known(visit))
      : unlessRefused(this.admits(rule, visit), false);
  }

  private async admits(rule: AccessRule, visit: Visit): Promise<boolean> {
    if (rule === 'public') {
      return true;
    }
    if (typeof rule === 'function') {
      try {
        return (await rule(visit.exchange.request)) === true;
      } catch (error) {
        throw refusalOf(error);
      }
    }
    return hasStanding(rule, await visit.caller());
  }
}

/** Whether a rule is about who somebody is. */
function needsCaller(rule: AccessRule): rule is 'admin' | 'authenticated' {
  return rule === 'admin' || rule === 'authenticated';
}

function hasStanding(rule: 'admin' | 'authenticated', { kind }: Caller): boolean {
  return kind === 'admin' || (rule === 'authenticated' && kind === 'user');
}

/** What a judgement says, or `otherwise` when it refuses by an exception. One that could not be made is an error still. */
async function unlessRefused<T>(judgement: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await judgement;
  } catch (error) {
    if (error instanceof ApiError && error.status < 500) {
      return otherwise;
    }
    throw error;
  }
}
