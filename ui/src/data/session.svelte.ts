import { untrack } from 'svelte';
import type { Capabilities } from '../../../client/index.js';
import { JobsApiError, JobsClient } from '../../../client/index.js';
import { API_URL } from '../route/server-facts.js';
import { serverClock } from './server-clock.svelte.js';
import { tabStorage } from './storage.js';

/**
 * - `starting`: nobody has answered yet.
 * - `open`: the caller may do what the capabilities say.
 * - `signed-out`: the API wants credentials.
 * - `failed`: no answer, or one that is none.
 */
type Phase = 'starting' | 'open' | 'signed-out' | 'failed';

/** Who is looking, and what that one may do. */
class Session {
  phase: Phase = $state('starting');
  capabilities: Capabilities | null = $state.raw(null);
  /** Why the phase is `failed`, or why the last token was refused. */
  error: unknown = $state.raw(undefined);
  /** It was open, and the API has refused a request since. */
  hasLapsed = $state(false);
  /** Held here alone, unless the caller wants the tab to keep it. */
  #token = $state(tabStorage.get('token'));
  /** A question was refused for want of the database, and is worth another try when that is back. */
  hasMissed = false;
  /** The page is being left: what is sent now must outlive it. */
  #isLeaving = false;

  readonly api = new JobsClient({
    baseUrl: API_URL.origin,
    path: API_URL.pathname,
    // Not told: what was fetched with the old token is not fetched anew for another one.
    token: () => untrack(() => this.#token),
    retries: 1,
    fetch: (input, init) => this.#fetch(input, init),
  });

  constructor() {
    addEventListener('pagehide', () => (this.#isLeaving = true));
    addEventListener('pageshow', () => (this.#isLeaving = false));
  }

  get hasToken(): boolean {
    return this.#token !== null;
  }

  /** Whether jobs may be looked at. */
  get mayRead(): boolean {
    return this.capabilities?.read === true;
  }

  /** Whether they may be re-queued, cancelled and deleted, too. */
  get mayManage(): boolean {
    return this.capabilities?.manage === true;
  }

  get mayEnqueue(): boolean {
    return this.capabilities?.enqueue === true;
  }

  /** Asks what the caller may do, with a token or with what the browser sends by itself. */
  async start(): Promise<void> {
    try {
      this.capabilities = await this.api.capabilities();
      this.phase = 'open';
      this.hasLapsed = false;
      this.error = undefined;
    } catch (error) {
      this.error = error;
      if (error instanceof JobsApiError && error.status === 401) this.phase = 'signed-out';
      else if (this.capabilities === null) this.phase = 'failed';
    }
  }

  /** Asks again, with what the browser sends by itself: the reader has signed in elsewhere. */
  resume(): Promise<void> {
    this.#token = null;
    tabStorage.set('token', null);
    return this.start();
  }

  /** Whether the API takes the token. */
  async signIn(token: string, isKept: boolean): Promise<boolean> {
    this.#token = token;
    await this.start();
    if (this.phase !== 'open' || this.error !== undefined) {
      this.#token = null;
      return false;
    }
    tabStorage.set('token', isKept ? token : null);
    return true;
  }

  signOut(): void {
    this.#token = null;
    tabStorage.set('token', null);
    this.capabilities = null;
    this.hasLapsed = false;
    this.error = undefined;
    this.phase = 'signed-out';
  }

  async #fetch(input: RequestInfo | URL, init: RequestInit | undefined): Promise<Response> {
    const response = await fetch(input, this.#isLeaving ? { ...init, keepalive: true } : init);
    serverClock.learn(response.headers.get('Date'));
    const isQuestion = (init?.method ?? 'GET') === 'GET' && !response.url.endsWith('/stream');
    if (response.status === 503 && isQuestion) this.hasMissed = true;
    if (response.status === 401 && this.phase === 'open') {
      this.hasLapsed = true;
      this.phase = 'signed-out';
    }
    return response;
  }
}

export const session = new Session();
export const api = session.api;
