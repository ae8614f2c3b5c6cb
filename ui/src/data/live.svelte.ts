import type { JobStats } from '../../../client/index.js';
import { serverClock } from './server-clock.svelte.js';
import { api, session } from './session.svelte.js';

/** The minimum time between two refetches. */
const NOTIFY_INTERVAL_MS = 1_000;
/** The pause before it opens a rejected stream again. A server that is being replaced may reject it. */
const REFUSED_PAUSE_MS = 5_000;
/** The minimum time between two refetches after a 503: the queries may be too expensive for the database. */
const MISSED_PAUSE_MS = 10_000;
/** The stream sends statistics every second. Without them for this long, the page says that it may show old data. */
const SILENCE_MS = 2_500;
/** After a shorter silence, the stream still reports what changed meanwhile, so that nothing has to be fetched again. */
const REFETCH_SILENCE_MS = 8_000;

type Listener = (topics: readonly string[] | null) => void;

/**
 * - `connecting`: no events yet.
 * - `live`: the stream sends changes as they happen.
 * - `lost`: the connection is lost, and is being opened again. The page may show old data.
 * - `silent`: the stream is open, but sends no statistics. The page may show old data.
 * - `held`: by the user, or because the tab is hidden.
 */
type Phase = 'connecting' | 'live' | 'lost' | 'silent' | 'held';

/** The event stream of the API. It is open while the tab is visible. */
class Live {
  phase: Phase = $state('connecting');
  stats: JobStats | null = $state.raw(null);
  /** The time of the last event, while the phase is `lost` or `silent`. */
  lostAt: number | null = $state(null);
  /** Whether the user holds the page. */
  isHeld = $state(false);

  readonly #listeners = new Set<Listener>();
  #running: AbortController | undefined;
  #touched: Set<string> | null = new Set();
  #nextNotification: ReturnType<typeof setTimeout> | undefined;
  #refetchedAt = -Infinity;
  #silence: ReturnType<typeof setTimeout> | undefined;
  /** When the listeners were last notified. A new page shows fresh data. */
  #notifiedAt = Date.now();

  constructor() {
    document.addEventListener('visibilitychange', () => this.update());
  }

  /** Calls the listener with the topics that changed; `null`: any topic may have changed. @returns a function that unsubscribes */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hold(isHeld: boolean): void {
    this.isHeld = isHeld;
    this.update();
  }

  /** Opens the stream or closes it, as the state requires. */
  update(): void {
    const isWanted = session.phase === 'open' && session.mayRead && !this.isHeld && !document.hidden;
    if (isWanted === (this.#running !== undefined)) return;
    if (isWanted) {
      this.#running = new AbortController();
      this.phase = 'connecting';
      void this.#listen(this.#running.signal);
    } else {
      this.#running?.abort();
      this.#running = undefined;
      // The page refetches everything when the stream is open again.
      clearTimeout(this.#nextNotification);
      clearTimeout(this.#silence);
      this.#nextNotification = undefined;
      if (session.phase !== 'open') this.stats = null;
      this.phase = 'held';
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    try {
      const options = { signal, onOpen: () => this.#opened(), onLost: () => this.#lost() };
      for await (const event of api.stream(options)) {
        if (event.type === 'stats') this.#receive(event.data);
        else this.#touch(event.data.topics);
      }
    } catch {
      // The server rejects the stream. After a 401 the session has ended already.
      if (signal.aborted) return;
      this.#lost();
      setTimeout(() => signal.aborted || void this.#listen(signal), REFUSED_PAUSE_MS);
    }
  }

  #opened(): void {
    this.phase = 'live';
    this.lostAt = null;
    this.#watchSilence();
    // Anything may have changed before.
    this.#touch(null);
  }

  #receive(stats: JobStats): void {
    this.stats = stats;
    const silentMs = this.phase === 'silent' && this.lostAt !== null ? serverClock.now - this.lostAt : 0;
    if (silentMs >= REFETCH_SILENCE_MS || (session.hasMissed && Date.now() - this.#refetchedAt >= MISSED_PAUSE_MS)) {
      session.hasMissed = false;
      this.#refetchedAt = Date.now();
      this.#opened();
    } else {
      this.phase = 'live';
      this.lostAt = null;
      this.#watchSilence();
    }
  }

  #watchSilence(): void {
    const receivedAt = serverClock.now;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.phase = 'silent';
      this.lostAt = receivedAt;
    }, SILENCE_MS);
  }

  #lost(): void {
    clearTimeout(this.#silence);
    this.phase = 'lost';
    this.lostAt ??= serverClock.now;
  }

  /** Records changed topics, and notifies the listeners at most once a second. */
  #touch(topics: readonly string[] | null): void {
    if (topics === null) this.#touched = null;
    else topics.forEach((topic) => this.#touched?.add(topic));
    this.#nextNotification ??= setTimeout(
      () => this.#notify(),
      Math.max(0, this.#notifiedAt + NOTIFY_INTERVAL_MS - Date.now()),
    );
  }

  #notify(): void {
    const touched = this.#touched && [...this.#touched];
    this.#touched = new Set();
    this.#nextNotification = undefined;
    this.#notifiedAt = Date.now();
    this.#listeners.forEach((listener) => listener(touched));
  }
}

export const live = new Live();
