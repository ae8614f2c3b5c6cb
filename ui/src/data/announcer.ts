/** The least time between two announcements. */
const PAUSE_MS = 10_000;

/** Lets a screen reader announce changes. Changes within the pause are announced together, by the newest text. */
export class Announcer {
  #next: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param show writes the text into a region with the role `status` */
  constructor(private readonly show: (text: string) => void) {}

  /** @param text empty: discards the text that has not been announced yet */
  say(text: string): void {
    if (text === '') this.show('');
    this.#next = text === '' ? undefined : text;
    if (this.#timer === undefined) this.#announce();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #announce(): void {
    this.#timer = undefined;
    if (this.#next === undefined) return;
    this.show(this.#next);
    this.#next = undefined;
    this.#timer = setTimeout(() => this.#announce(), PAUSE_MS);
  }
}
