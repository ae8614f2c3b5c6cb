/** Wakes whoever waits when it is rung, or after a while. */
export class Bell {
  rings = 0;
  /** @type {Set<() => void>} */
  #waiting = new Set();

  /** @param {number} longestMs */
  constructor(longestMs) {
    this.longestMs = longestMs;
  }

  /** Resolves once it has been rung more often than that. @param {number} rings @returns {Promise<void>} */
  async rungSince(rings) {
    if (this.rings > rings) return;
    await new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve(undefined);
      };
      const timer = setTimeout(wake, this.longestMs);
      this.#waiting.add(wake);
    });
  }

  ring() {
    this.rings += 1;
    this.#waiting.forEach((wake) => wake());
  }
}
