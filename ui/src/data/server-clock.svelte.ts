/** Less than this may be the way of the answer, and the missing digits of its date. */
const TOLERATED_MS = 2_000;

/** The time that relative times are counted from: the server's, since that is whose times are shown. */
class ServerClock {
  /** Moves once a second while the page is seen. */
  now = $state(Date.now());
  #aheadMs = 0;

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.tick();
    }, 1_000);
    document.addEventListener('visibilitychange', () => this.tick());
  }

  tick(): void {
    this.now = Date.now() + this.#aheadMs;
  }

  /** Learns from the date of an answer how wrong the clock of this machine is. */
  learn(date: string | null): void {
    const aheadMs = date === null ? NaN : Date.parse(date) - Date.now();
    if (Number.isNaN(aheadMs)) return;
    this.#aheadMs = Math.abs(aheadMs) > TOLERATED_MS ? aheadMs : 0;
  }
}

export const serverClock = new ServerClock();
