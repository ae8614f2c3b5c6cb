import type { Observable } from 'rxjs';
import { config, filter, firstValueFrom, map, tap } from 'rxjs';
import type { JobEvent } from '../../../lib/core/job-events.js';
import { EventStream } from '../../../lib/engine/runtime/event-stream.js';
import { until } from '../../support/wait.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';

const event: JobEvent = { type: 'completed', id: 'a', topic: 'mail', attempt: 1, durationMs: 1 };

function fail(): never {
  throw new Error('of the subscriber');
}

/** A `next` that is an async function. */
const fails = (async () => fail()) as () => void;

describe('the stream of events', () => {
  let log: RecordingLogger;
  let stream: EventStream;
  const uncaught: unknown[] = [];

  beforeEach(() => {
    log = new RecordingLogger();
    stream = new EventStream(log);
    uncaught.length = 0;
    config.onUnhandledError = (error) => uncaught.push(error);
  });

  afterEach(() => {
    config.onUnhandledError = null;
  });

  it.each<[string, (events: Observable<JobEvent>) => unknown]>([
    ['a function that throws', (events) => events.subscribe(fail)],
    ['a method that throws', (events) => events.subscribe({ next: fail })],
    ['a function that rejects', (events) => events.subscribe(fails)],
    ['a function behind an operator', (events) => events.pipe(filter(() => true)).subscribe(fail)],
    ['an operator that throws', (events) => events.pipe(map(fail)).subscribe(() => undefined)],
    [
      'an operator behind another, without a subscriber',
      (events) =>
        events
          .pipe(
            filter(() => true),
            tap(fail),
          )
          .subscribe(),
    ],
    ['a handler of errors that throws', (events) => events.pipe(map(fail)).subscribe({ error: fail })],
    ['a subscriber that throws at the end', (events) => events.subscribe({ complete: fail })],
  ])('logs the error of %s, and continues for other subscribers', async (_what, subscribe) => {
    const others: JobEvent[] = [];
    subscribe(stream.observe());
    stream.observe().subscribe((each) => others.push(each));
    stream.emit(event);
    stream.emit(event);
    stream.complete();
    await until(() => log.of('error').length > 0);
    expect(log.of('error')[0]).toMatch(/subscriber.*of the subscriber/);
    expect(others).toEqual([event, event]);
    // RxJS reports uncaught errors with a timer of 0 ms; a timer that is set now fires after it.
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(uncaught).toEqual([]);
  });

  it('completes every form of subscriber, and calls methods on their observer', () => {
    const told: string[] = [];
    const observer = {
      name: 'observer',
      complete() {
        told.push(this.name);
      },
    };
    stream.observe().subscribe(observer);
    // RxJS 7 still accepts this form.
    stream.observe().subscribe(null, null, () => told.push('third argument'));
    stream.complete();
    expect(told).toEqual(['observer', 'third argument']);
  });

  it('rejects a promise with the error of its operator', async () => {
    const waiting = firstValueFrom(stream.observe().pipe(map(fail)));
    stream.emit(event);
    await expect(waiting).rejects.toThrow('of the subscriber');
    expect(log.of('error')).toEqual([]);
  });
});
