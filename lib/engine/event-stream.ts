import type { Observer } from 'rxjs';
import { Observable, Subject, Subscriber } from 'rxjs';
import { toErrorMessage } from '../core/error-text.js';
import type { JobEvent } from '../core/job-events.js';
import type { JobsLogger } from '../core/logger.js';

/**
 * The events of a process. A subscriber that throws, or whose promise rejects, is logged: RxJS would report it as an uncaught
 * exception, and end the process with all its jobs. The same holds behind operators such as `filter` and `map`, but not behind
 * those that subscribe by themselves, such as `merge`.
 */
export class EventStream {
  private readonly subject = new Subject<JobEvent>();

  constructor(private readonly logger: JobsLogger) {}

  emit(event: JobEvent): void {
    // Nobody listens in most processes, and the subject would copy that nobody for each event.
    if (this.subject.observed) {
      this.subject.next(event);
    }
  }

  complete(): void {
    this.subject.complete();
  }

  observe(): Observable<JobEvent> {
    return this.guard(new Observable<JobEvent>((subscriber) => this.subject.subscribe(subscriber)));
  }

  /** Guards who subscribes to a stream, and to whatever operators make of it. */
  private guard<T>(stream: Observable<T>): Observable<T> {
    const subscribe = stream.subscribe.bind(stream) as (observer: unknown) => ReturnType<typeof stream.subscribe>;
    // Every operator of RxJS 7 makes its stream by this.
    const lift = stream.lift.bind(stream);
    return Object.assign(stream, {
      subscribe: (observer?: unknown, error?: unknown, complete?: unknown) =>
        subscribe(
          this.guarded(typeof observer === 'object' && observer ? observer : { next: observer, error, complete }),
        ),
      lift: (operator: Parameters<typeof lift>[0]) => this.guard(lift(operator)),
    });
  }

  /** Operators subscribe with a Subscriber of their own, which is left as it is. */
  private guarded(observer: object): object {
    if (observer instanceof Subscriber) {
      return observer;
    }
    const { next, error, complete } = observer as Partial<Observer<unknown>>;
    return {
      next: next && this.safely((value: unknown) => next.call(observer, value)),
      error: error ? this.safely((reason: unknown) => error.call(observer, reason)) : this.failed,
      complete: complete && this.safely(() => complete.call(observer)),
    };
  }

  private safely<Args extends unknown[]>(callback: (...args: Args) => unknown): (...args: Args) => void {
    return (...args) => {
      try {
        const answer = callback(...args);
        if (answer) {
          Promise.resolve(answer).catch(this.failed);
        }
      } catch (error) {
        this.failed(error);
      }
    };
  }

  private readonly failed = (error: unknown): void => {
    this.logger.error(`a subscriber of events failed: ${toErrorMessage(error)}`);
  };
}
