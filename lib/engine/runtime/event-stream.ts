import type { Observer, Operator, Subscription } from 'rxjs';
import { Observable, Subject, Subscriber } from 'rxjs';
import { toErrorMessage } from '../../core/error-text.js';
import type { JobEvent } from '../../core/job-events.js';
import type { JobsLogger } from '../../core/logger.js';

/** The events of this process. A subscriber that throws, or whose promise rejects, is logged. */
export class EventStream {
  private readonly subject = new Subject<JobEvent>();

  constructor(private readonly logger: JobsLogger) {}

  emit(event: JobEvent): void {
    // Most processes have no subscriber, and the Subject copies its empty list for each event.
    if (this.subject.observed) {
      this.subject.next(event);
    }
  }

  complete(): void {
    this.subject.complete();
  }

  /** @param name of the subscriber, for the log. */
  observe(name = 'a subscriber of jobs.events'): Observable<JobEvent> {
    const onError = (error: unknown): void => this.logger.error(`${name} threw: ${toErrorMessage(error)}`);
    return new GuardedObservable<JobEvent>(onError, (subscriber) => this.subject.subscribe(subscriber));
  }
}

/**
 * Catches what subscribers throw: RxJS rethrows it in a timer, which ends the process. Covers operators such as `filter` and
 * `map` too, but not those that subscribe themselves, such as `merge`.
 */
class GuardedObservable<T> extends Observable<T> {
  constructor(
    private readonly onError: (error: unknown) => void,
    start?: (subscriber: Subscriber<T>) => Subscription,
  ) {
    super(start);
  }

  override lift<R>(operator?: Operator<T, R>): Observable<R> {
    return Object.assign(new GuardedObservable<R>(this.onError), { source: this, operator });
  }

  override subscribe(observer?: object | null, error?: unknown, complete?: unknown): Subscription {
    // Operators and `firstValueFrom` subscribe with a Subscriber and handle its errors.
    if (observer instanceof Subscriber) {
      return super.subscribe(observer as Subscriber<T>);
    }
    const given = (
      typeof observer === 'object' && observer ? observer : { next: observer, error, complete }
    ) as Partial<Observer<T>>;
    return super.subscribe({
      next: this.guard(given, given.next),
      error: given.error ? this.guard(given, given.error) : this.onError,
      complete: this.guard(given, given.complete),
    });
  }

  private guard<Args extends unknown[]>(observer: object, callback?: ((...args: Args) => unknown) | null) {
    return (...args: Args): void => {
      try {
        const returned = callback?.call(observer, ...args);
        if (returned) {
          Promise.resolve(returned).catch(this.onError);
        }
      } catch (error) {
        this.onError(error);
      }
    };
  }
}
