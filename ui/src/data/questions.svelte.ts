/** A question that is asked before something happens. */
export interface Question {
  readonly title: string;
  readonly text: string;
  /** What the button says that goes on. */
  readonly verb: string;
  /** What the other button says. Default: Cancel. */
  readonly refusal?: string;
  /** Whether nothing is lost by it. */
  readonly isSafe?: boolean;
}

/** One question at a time, shown as a dialog. */
class Questions {
  current: Question | null = $state.raw(null);
  #answer: ((isYes: boolean) => void) | undefined;

  ask(question: Question): Promise<boolean> {
    this.answer(false);
    this.current = question;
    return new Promise((resolve) => (this.#answer = resolve));
  }

  answer(isYes: boolean): void {
    this.current = null;
    this.#answer?.(isYes);
    this.#answer = undefined;
  }
}

export const questions = new Questions();
