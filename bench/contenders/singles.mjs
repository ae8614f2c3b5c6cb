/** @typedef {import('./index.mjs').Payload} Payload */

/** Jobs that come one by one: those that come in while all connections insert go together with the next statement. */
export class Singles {
  /** @type {{ payload: Payload, resolve: (value?: unknown) => void, reject: (error: unknown) => void }[]} */
  #waiting = [];

  /** @param {(payloads: Payload[]) => Promise<unknown>} insert @param {number} connections */
  constructor(insert, connections) {
    this.insert = insert;
    this.free = connections;
  }

  /** @param {Payload} payload */
  add(payload) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ payload, resolve, reject });
      if (this.free > 0) this.#send();
    });
  }

  #send() {
    const sent = this.#waiting.splice(0);
    this.free -= 1;
    this.insert(sent.map(({ payload }) => payload))
      .then(
        () => sent.forEach(({ resolve }) => resolve()),
        (error) => sent.forEach(({ reject }) => reject(error)),
      )
      .finally(() => {
        this.free += 1;
        if (this.#waiting.length > 0) this.#send();
      });
  }
}
