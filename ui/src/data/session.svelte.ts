import { untrack } from 'svelte';
import type { Attachment } from 'svelte/attachments';
import type { Capabilities } from '../../../client/index.js';
import { JobsApiError, JobsClient } from '../../../client/index.js';
import { isForbidden } from './problem.js';
import { findLink } from '../route/router.svelte.js';
import { API_URL, AUTH_MODE, HAS_COOKIE } from '../route/server-facts.js';
import { serverClock } from './server-clock.svelte.js';
import { tabStorage } from './storage.js';
import { offerToken, receiveToken } from './tab-token.js';

/**
 * - `starting`: the API has not responded yet.
 * - `open`: the caller may do what the capabilities say.
 * - `signed-out`: the API rejects the caller with 401 or 403.
 * - `failed`: no response, or an unusable one.
 */
type Phase = 'starting' | 'open' | 'signed-out' | 'failed';

/** The credentials of the user, and what the user may do. */
class Session {
  phase: Phase = $state('starting');
  capabilities: Capabilities | null = $state.raw(null);
  /** Why the phase is `failed` or `signed-out`. */
  error: unknown = $state.raw(undefined);
  /** Whether it was open, and the API has rejected a request since. */
  hasLapsed = $state(false);
  /** In memory, and in the storage of the tab if the user asks for it. */
  #token = $state(tabStorage.get('token'));
  /** Whether the tab keeps the token. A new sign-in proposes the same. */
  isTokenKept = this.#token !== null;
  /** Counts sign-outs: what was read before one is not shown after it. */
  generation = 0;
  /** Whether the API responded with 503 to a read, which is worth another try when the database is back. */
  hasMissed = false;
  /** Whether the page is being left: requests of now must outlive it. */
  #isLeaving = false;

  readonly api = new JobsClient({
    baseUrl: API_URL.origin,
    path: API_URL.pathname,
    // Untracked: a new token must not fetch again what was fetched with the old one.
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

  /** Whether to show the screen. With credentials, it is shown before the first response accepts them. */
  get isShown(): boolean {
    const mayBeSignedIn = this.hasToken || HAS_COOKIE || AUTH_MODE === 'none';
    return this.capabilities !== null || (this.phase === 'starting' && mayBeSignedIn);
  }

  /** Whether the user may read jobs. */
  get mayRead(): boolean {
    return this.capabilities?.read === true;
  }

  /** Whether the user may also requeue, cancel and delete jobs. */
  get mayManage(): boolean {
    return this.capabilities?.manage === true;
  }

  get mayEnqueue(): boolean {
    return this.capabilities?.enqueue === true;
  }

  /** The size of the largest payload that the queue takes. */
  get payloadBytesMax(): number {
    return this.capabilities?.limits.payload_bytes ?? Infinity;
  }

  /** Requests what the caller may do, with the token, or with what the browser sends by itself. */
  async start(): Promise<void> {
    this.#token ??= await receiveToken();
    const { generation } = this;
    try {
      const capabilities = await this.api.capabilities();
      if (generation !== this.generation) return;
      this.capabilities = capabilities;
      this.phase = 'open';
      this.hasLapsed = false;
      this.error = undefined;
    } catch (error) {
      if (generation !== this.generation) return;
      this.error = error;
      const isRejected = error instanceof JobsApiError && (error.status === 401 || isForbidden(error));
      if (isRejected) this.phase = 'signed-out';
      else if (this.capabilities === null) this.phase = 'failed';
    }
  }

  /** Tries again without a token: the user may have signed in to the application in another tab. */
  resume(): Promise<void> {
    this.#token = null;
    tabStorage.set('token', null);
    return this.start();
  }

  /** Signs in a tab that the user opens with a link of the UI. */
  readonly openedTabs: Attachment<HTMLElement> = (element) => {
    const share = (event: MouseEvent): void => {
      const link = findLink(event)?.element;
      if (link && event.isTrusted && this.hasToken && opensTab(event, link)) offerToken(link, () => this.#token);
    };
    element.addEventListener('click', share);
    element.addEventListener('auxclick', share);
    return () => {
      element.removeEventListener('click', share);
      element.removeEventListener('auxclick', share);
    };
  };

  /** Returns whether the API accepts the token. */
  async signIn(token: string, isKept: boolean): Promise<boolean> {
    this.#token = token;
    await this.start();
    if (this.phase !== 'open' || this.error !== undefined) {
      this.#token = null;
      return false;
    }
    this.isTokenKept = isKept;
    tabStorage.set('token', isKept ? token : null);
    return true;
  }

  signOut(): void {
    this.generation += 1;
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
    const isQuestion = (init?.method ?? 'GET') === 'GET' && !/\/stream(\?|$)/.test(response.url);
    if (response.status === 503 && isQuestion) this.hasMissed = true;
    if (response.status === 401 && this.phase === 'open') {
      this.hasLapsed = true;
      this.phase = 'signed-out';
    }
    return response;
  }
}

function opensTab(event: MouseEvent, link: Element): boolean {
  if (event.type === 'auxclick') return event.button === 1;
  return event.ctrlKey || event.metaKey || event.shiftKey || link.getAttribute('target') === '_blank';
}

export const session = new Session();
export const api = session.api;
