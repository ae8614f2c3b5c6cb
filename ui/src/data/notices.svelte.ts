import { messages } from '../messages/messages.js';
import { shortened, visible } from '../text/visible-text.js';
import { toProblem } from './problem.js';

/** Long enough to be read and to reach the button. */
const SHOWN_MS = 7_000;

export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly tone: 'neutral' | 'bad';
  /** What takes back what the notice tells of. */
  readonly undo?: (() => void) | undefined;
  /** Leads to what the notice tells of. */
  readonly href?: string | undefined;
}

/** Short messages at the edge of the page, spoken by screen readers. */
class Notices {
  list: Notice[] = $state.raw([]);
  #lastId = 0;

  /** @returns what removes it */
  show(notice: Omit<Notice, 'id'>, shownMs = SHOWN_MS): () => void {
    this.#lastId += 1;
    const id = this.#lastId;
    const remove = (): void => {
      this.list = this.list.filter((each) => each.id !== id);
    };
    this.list = [
      ...this.list.filter(({ undo }, index, { length }) => undo !== undefined || index >= length - 2),
      { id, ...notice },
    ];
    setTimeout(remove, shownMs);
    return remove;
  }

  say(text: string): void {
    this.show({ text, tone: 'neutral' });
  }

  fail(text: string): void {
    this.show({ text, tone: 'bad' });
  }

  /** Shows an error of an API call. */
  complain(error: unknown): void {
    const { title, detail } = toProblem(error);
    this.fail(messages.problems.notice(title, shortened(visible(detail), 300)));
  }
}

export const notices = new Notices();
