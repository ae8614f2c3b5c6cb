import type { Observer } from 'rxjs';
import { Observable, Subject, Subscriber } from 'rxjs';
import { messageOf } from '../core/errors.js';
import type { JobEvent } from '../core/events.js';
import type { JobsLogger } from '../core/logger.js';

type Next = (event: JobEvent) => unknown;

/**
 * The events of a process. A subscriber that throws, or whose promise rejects, is logged: RxJS would report it as an
 * uncaught exception, and end the process with all its jobs.
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
    const stream = new Observable<JobEvent>((subscriber) => this.subject.subscribe(subscriber));
    const subscribe = stream.subscribe.bind(stream) as (observer?: unknown) => ReturnType<typeof stream.subscribe>;
    return Object.assign(stream, { subscribe: (observer?: unknown) => subscribe(this.guarded(observer)) });
  }

  /** Operators subscribe with a Subscriber of their own, which is left as it is. */
  private guarded(observer: unknown): unknown {
    if (typeof observer === 'function') {
      return this.guardedNext(observer as Next);
    }
    if (observer instanceof Subscriber || typeof observer !== 'object' || observer === null) {
      return observer;
    }
    const { next, error, complete } = observer as Partial<Observer<JobEvent>>;
    return {
      next: next && this.guardedNext((event) => next.call(observer, event)),
      error: error?.bind(observer),
      complete: complete?.bind(observer),
    };
  }

  private guardedNext(next: Next): (event: JobEvent) => void {
    const failed = (error: unknown): void => this.logger.error(`a subscriber of events failed: ${messageOf(error)}`);
    return (event) => {
      try {
        const answer = next(event);
        if (answer) {
          Promise.resolve(answer).catch(failed);
        }
      } catch (error) {
        failed(error);
      }
    };
  }
}
