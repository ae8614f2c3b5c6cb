import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { ScheduleDefinition, ScheduleOptions } from '../../lib/core/schedule.js';
import { planTicksInSteps, readSchedule, readScheduleName } from '../../lib/core/schedule.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const at = (time: string): Date => new Date(`2026-01-05T${time}Z`);
const hourly = (options: ScheduleOptions = {}) => readSchedule('0 * * * *', { topic: 't', ...options });

/** Plans all due ticks at once. */
function planTicks(definition: ScheduleDefinition, cursor: Date, now: Date) {
  const steps = planTicksInSteps(definition, cursor, now);
  for (;;) {
    const { done, value } = steps.next();
    if (done) {
      return value;
    }
  }
}

/** The hours of the ticks that fire at `now`, with the cursor at 00:00. */
function fired(options: ScheduleOptions, now = at('05:30:00')): number[] {
  return planTicks(hourly(options), at('00:00:00'), now).fire.map((tick) => tick.getUTCHours());
}

describe('ticks that were missed', () => {
  it('fire once by default: the newest', () => {
    expect(fired({})).toEqual([5]);
  });

  it("fire all, oldest first, with 'all'", () => {
    expect(fired({ missed: 'all' })).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("do not fire with 'skip'", () => {
    expect(fired({ missed: 'skip' })).toEqual([]);
  });

  it("do not fire when they are older than 'within'", () => {
    expect(fired({ missed: { policy: 'all', within: '3h' } })).toEqual([3, 4, 5]);
    expect(fired({ missed: { policy: 'last', within: '20m' } })).toEqual([]);
  });

  it("fire the newest 'max'", () => {
    expect(fired({ missed: { policy: 'all', max: 2 } })).toEqual([4, 5]);
  });

  it('are those that are more than 60 s late', () => {
    expect(fired({ missed: 'skip' }, at('05:01:00'))).toEqual([5]);
    expect(fired({ missed: 'skip' }, at('05:01:00.001'))).toEqual([]);
  });

  it('leave the next tick in the future, whatever fired', () => {
    for (const missed of ['skip', 'last', 'all'] as const) {
      expect(planTicks(hourly({ missed }), at('00:00:00'), at('05:30:00')).next).toEqual(at('06:00:00'));
    }
  });

  it('of years cost no more than those of a day', () => {
    const everySecond = readSchedule({ every: '1s' }, { topic: 't', missed: 'last' });
    const { fire } = planTicks(everySecond, new Date(0), at('05:30:00'));
    expect(fire).toHaveLength(62);
    expect(fire[0]).toEqual(at('05:28:59'));
  });
});

describe('a plan in steps', () => {
  it('lets other work run after each tick, and finds the same ticks', () => {
    const everySecond = readSchedule('* * * * * *', {
      topic: 't',
      missed: { policy: 'all', within: '1d', max: 1_000 },
    });
    const steps = planTicksInSteps(everySecond, at('00:00:00'), at('05:30:00'));
    let count = 0;
    let step = steps.next();
    for (; !step.done; step = steps.next()) {
      count += 1;
    }
    expect(count).toBeGreaterThanOrEqual(1_000);
    expect(step.value).toEqual(planTicks(everySecond, at('00:00:00'), at('05:30:00')));
  });
});

describe('startAt and endAt', () => {
  it('bound the ticks, both included', () => {
    const definition = hourly({ startAt: at('02:00:00'), endAt: at('03:00:00'), missed: 'all' });
    expect(planTicks(definition, at('02:00:00'), at('05:30:00'))).toEqual({
      fire: [at('02:00:00'), at('03:00:00')],
      next: null,
    });
  });

  it('are refused in the wrong order', () => {
    expect(() => hourly({ startAt: at('02:00:00'), endAt: at('01:00:00') })).toThrow(InvalidOptionsError);
  });
});

describe('a schedule', () => {
  it.each<[string, ScheduleOptions]>([
    ['an unknown zone', { tz: 'Europe/Berlim' }],
    ['an offset instead of a zone', { tz: '+02:00' }],
    ['an unknown option', { timezone: 'UTC' } as ScheduleOptions],
    ['an unknown policy', { missed: 'some' as never }],
    ['metadata of the queue', { metadata: { $schedule: {} } }],
    ['a negative jitter', { jitter: -1 }],
  ])('with %s is refused', (_, options) => {
    expect(() => hourly(options)).toThrow(InvalidOptionsError);
  });

  it('whose pattern has no tick is refused', () => {
    expect(() => readSchedule('0 0 30 2 *', { topic: 't' })).toThrow("'0 0 30 2 *' has no tick");
  });

  it.each(['', 'a b', 'a/b', 'é', 'x'.repeat(256), 5])('named %p is refused', (name) => {
    expect(() => readScheduleName(name)).toThrow(InvalidOptionsError);
  });

  it('names the nearest option in the error', () => {
    expect(() => hourly({ overlaps: 'skip' } as ScheduleOptions)).toThrow("did you mean 'overlap'");
  });

  it('has plain defaults', () => {
    expect(hourly()).toMatchObject({
      tz: 'UTC',
      payload: null,
      missed: { policy: 'last', withinMs: 24 * HOUR, max: 100 },
      overlap: 'allow',
      jitterMs: 0,
    });
  });
});
