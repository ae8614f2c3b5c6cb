import type { Clock } from '../../core/clock.js';

/** A large answer that took longer than this is shown again for a while, instead of being made anew for each caller. */
const DEAR_MS = 25;
/** How old it may become. */
const SHOWN_AGAIN_MS = 2_000;
/** From this age on the next one is made beside it, so that those who ask again and again never wait. */
const RENEWED_AFTER_MS = 1_000;

/**
 * An answer that callers share: a dear one for a while, a cheap one never. Who asks for a cheap answer gets one that was
 * begun after they asked; it is made once for all who wait at the same time. Time alone makes no answer dear: on a busy
 * machine a small one may be slow too, and is to be exact all the same.
 */
export class CachedQuery<T> {
  private latest: { readonly value: T; readonly begunAtMs: number; readonly isDear: boolean } | undefined;
  private running: Promise<T> | undefined;
  /** What those get who came while a cheap one was being made. */
  private following: Promise<T> | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly make: () => Promise<T>,
    private readonly isLarge: (value: T) => boolean,
  ) {}

  /** Whether the latest answer is one that is shown again. */
  get isShown(): boolean {
    return this.latest !== undefined && this.latest.isDear && this.ageMs < SHOWN_AGAIN_MS;
  }

  /** Whether nobody would miss it. */
  get isForgettable(): boolean {
    return !this.running && !this.isShown;
  }

  async get(): Promise<T> {
    if (!this.isShown) {
      return this.next();
    }
    const { value } = this.latest!;
    if (this.ageMs >= RENEWED_AFTER_MS && !this.running) {
      // Whoever comes to wait for the next one hears of a failure.
      this.begin().catch(() => undefined);
    }
    return value;
  }

  private get ageMs(): number {
    return this.clock.now() - this.latest!.begunAtMs;
  }

  private next(): Promise<T> {
    if (!this.running) {
      return this.begin();
    }
    if (this.latest?.isDear) {
      return this.running;
    }
    this.following ??= this.running
      .catch(() => undefined)
      .then(() => {
        this.following = undefined;
        return this.running ?? this.begin();
      });
    return this.following;
  }

  private begin(): Promise<T> {
    const begunAtMs = this.clock.now();
    const running = this.make()
      .then((value) => {
        this.latest = { value, begunAtMs, isDear: this.isLarge(value) && this.clock.now() - begunAtMs > DEAR_MS };
        return value;
      })
      .finally(() => {
        this.running = undefined;
      });
    this.running = running;
    return running;
  }
}
