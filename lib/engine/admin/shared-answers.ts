import type { Clock } from '../../core/clock.js';
import { CachedQuery } from './cached-query.js';

/** Which topics an answer is about; `null` is all of them. */
export type Topics = readonly string[] | null;

/** So many answers about some topics are kept at once. */
const NARROWED_MAX = 100;

/** Answers to one question that callers share, each about all topics or about some. */
export class SharedAnswers<T> {
  /** About all topics. */
  readonly whole: CachedQuery<T>;
  private readonly narrowed = new Map<string, CachedQuery<T>>();

  /** `isLarge`: worth sharing; see {@link CachedQuery}. */
  constructor(
    private readonly clock: Clock,
    private readonly make: (topics: Topics) => Promise<T>,
    private readonly isLarge: (value: T) => boolean,
  ) {
    this.whole = this.answer(null);
  }

  get(topics: Topics): Promise<T> {
    if (topics === null) {
      return this.whole.get();
    }
    const key = JSON.stringify([...topics].sort());
    let answer = this.narrowed.get(key);
    if (!answer) {
      this.forget();
      answer = this.answer(topics);
      this.narrowed.set(key, answer);
    }
    return answer.get();
  }

  private answer(topics: Topics): CachedQuery<T> {
    return new CachedQuery(this.clock, () => this.make(topics), this.isLarge);
  }

  private forget(): void {
    if (this.narrowed.size >= NARROWED_MAX) {
      for (const [key, answer] of this.narrowed) {
        if (answer.isForgettable) {
          this.narrowed.delete(key);
        }
      }
    }
  }
}
