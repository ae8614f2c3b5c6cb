import type { JobStats } from '../../../client/index.js';
import { serverClock } from './server-clock.svelte.js';
import { api, session } from './session.svelte.js';

/** Refetching more often would show nothing that an eye could follow. */
const TOLD_AGAIN_MS = 1_000;
/** A server that refuses the stream, as one that is being replaced may, is asked again after this. */
const REFUSED_PAUSE_MS = 5_000;
/** A question that the database could not answer may be too dear for it: all are asked again this rarely. */
const MISSED_PAUSE_MS = 10_000;
/** Statistics come every second. Without any for so long, the queue's database does not answer. */
const SILENCE_MS = 8_000;

type Listener = (topics: readonly string[] | null) => void;

/**
 * - `connecting`: no events yet.
 * - `live`: changes are told as they happen.
 * - `lost`: the connection is gone and sought again; what is shown may be old.
 * - `silent`: it is there, and nobody behind it knows how the queue is doing; what is shown may be old.
 * - `held`: by the reader, or since nobody looks at the page.
 */
type Phase = 'connecting' | 'live' | 'lost' | 'silent' | 'held';

/** The stream of the API, as long as somebody looks. */
class Live {
  phase: Phase = $state('connecting');
  stats: JobStats | null = $state.raw(null);
  /** Since when nothing was heard, if that is so. */
  lostAt: number | null = $state(null);
  /** The reader wants the page to stand still. */
  isHeld = $state(false);

  readonly #listeners = new Set<Listener>();
  #running: AbortController | undefined;
  #touched: Set<string> | null = new Set();
  #nextTelling: ReturnType<typeof setTimeout> | undefined;
  #askedAgainAt = -Infinity;
  #silence: ReturnType<typeof setTimeout> | undefined;
  /** What a page shows first is fresh, and has the server for itself until then. */
  #lastToldAt = Date.now();

  constructor() {
    document.addEventListener('visibilitychange', () => this.update());
  }

  /** Tells when something has changed: the topics of it, or `null` when anything may have. @returns what ends it */
  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  hold(isHeld: boolean): void {
    this.isHeld = isHeld;
    this.update();
  }

  /** Starts or ends the stream, whichever is due. */
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
      // What changed a moment ago is shown when the stream is open again: then everything is asked for.
      clearTimeout(this.#nextTelling);
      clearTimeout(this.#silence);
      this.#nextTelling = undefined;
      this.phase = 'held';
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    try {
      const options = { signal, onOpen: () => this.#opened(), onLost: () => this.#lost() };
      for await (const event of api.stream(options)) {
        if (event.type === 'stats') this.#told(event.data);
        else this.#touch(event.data.topics);
      }
    } catch {
      // The server refuses. A 401 has ended the session already.
      if (signal.aborted) return;
      this.#lost();
      setTimeout(() => signal.aborted || void this.#listen(signal), REFUSED_PAUSE_MS);
    }
  }

  #opened(): void {
    this.phase = 'live';
    this.lostAt = null;
    this.#awaitNews();
    // Nobody told what happened before.
    this.#touch(null);
  }

  #told(stats: JobStats): void {
    this.stats = stats;
    if (this.phase === 'silent' || (session.hasMissed && Date.now() - this.#askedAgainAt >= MISSED_PAUSE_MS)) {
      session.hasMissed = false;
      this.#askedAgainAt = Date.now();
      this.#opened();
    } else {
      this.#awaitNews();
    }
  }

  #awaitNews(): void {
    const heardAt = serverClock.now;
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => {
      this.phase = 'silent';
      this.lostAt = heardAt;
    }, SILENCE_MS);
  }

  #lost(): void {
    clearTimeout(this.#silence);
    this.phase = 'lost';
    this.lostAt ??= serverClock.now;
  }

  /** At most once a second, the last time included. */
  #touch(topics: readonly string[] | null): void {
    if (topics === null) this.#touched = null;
    else topics.forEach((topic) => this.#touched?.add(topic));
    this.#nextTelling ??= setTimeout(() => this.#tell(), Math.max(0, this.#lastToldAt + TOLD_AGAIN_MS - Date.now()));
  }

  #tell(): void {
    const touched = this.#touched && [...this.#touched];
    this.#touched = new Set();
    this.#nextTelling = undefined;
    this.#lastToldAt = Date.now();
    this.#listeners.forEach((listener) => listener(touched));
  }
}

export const live = new Live();
