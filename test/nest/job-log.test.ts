/**
 * @matrix nest-11
 * @never postgres-18
 */

import { SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import type { LogLevel } from '@nestjs/common';
import { Logger } from '@nestjs/common';
import { signal, until } from '../support/wait.js';
import type { Handler } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind, sharedKinds } from './support/database-kinds.js';
import { waitForAbort } from './support/wait-for-abort.js';
import { textLike } from './support/matchers.js';

const SECRET = 'swordfish';

/** Returns the lines of one job without the name of the logger. */
function findLines(lines: readonly string[], id: string): string[] {
  return lines.filter((line) => line.includes(id)).map((line) => line.replace(id, 'ID').replace(/ Jobs$/, ''));
}

const ms = String.raw`\d+(\.\d)? ms`;
const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
const enqueued = (topic: string): string => `^enqueued ${topic} ID due ${time}$`;
const started = (topic: string, attempt = 1): string =>
  `^started ${topic} ID attempt ${attempt} after ${ms} of waiting$`;

/** Topics whose handlers end in different ways, with the expected lines in order. */
const expectedLines: [string, Handler, string[]][] = [
  ['complete', () => SECRET, [enqueued('complete'), started('complete'), `^completed complete ID attempt 1 in ${ms}$`]],
  [
    'retry',
    (job) => {
      if (job.attempt === 1) throw new Error('first failure');
    },
    [
      enqueued('retry'),
      started('retry'),
      String.raw`^retrying retry ID attempt 1 in ${ms} next ${time} \(first failure\)$`,
      started('retry', 2),
      `^completed retry ID attempt 2 in ${ms}$`,
    ],
  ],
  [
    'snooze',
    (job) => {
      if (job.attempt === 1) throw new SnoozeError(1);
    },
    [
      enqueued('snooze'),
      started('snooze'),
      `^snoozed snooze ID attempt 1 in ${ms} next ${time}$`,
      started('snooze', 2),
      `^completed snooze ID attempt 2 in ${ms}$`,
    ],
  ],
  [
    'cancel',
    waitForAbort,
    [
      enqueued('cancel'),
      started('cancel'),
      '^cancel requested cancel ID attempt 1$',
      `^cancelled cancel ID attempt 1 in ${ms}$`,
    ],
  ],
];

describe.each(everyKind)('the operation log on $label', (kind) => {
  const apps = useApps(kind);

  it.each(expectedLines)('has one debug line per transition of a job: %s', async (topic, handler, expected) => {
    const app = await apps.start({ options: { backoff: { type: 'fixed', delay: 0 } } });
    const { id } = await app.jobs.enqueue(topic, null);
    // Registers late: otherwise a claim may come before enqueue returns.
    app.jobs.register(topic, handler);
    await app.event('started', id);
    if (topic === 'cancel') await app.jobs.cancel(id);
    await until(() => findLines(apps.log.of('debug'), id).length >= expected.length);
    await app.jobs.whenIdle();
    expect(findLines(apps.log.of('debug'), id)).toEqual(expected.map((text) => textLike(text)));
    expect(apps.log.of('warn')).toEqual([]);
    expect(apps.log.of('error')).toEqual([]);
  });

  it('warns once about a permanently failed job and not about a retried one', async () => {
    const app = await apps.start({
      options: { maxRetries: 1, backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        work: () => {
          throw new Error('failed');
        },
      },
    });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('failed', id);
    expect(findLines(apps.log.of('warn'), id)).toEqual([
      textLike(RegExp(`^failed work ID attempt 2 in ${ms}: failed$`)),
    ]);
    expect(apps.log.of('warn')).toHaveLength(1);
    expect(findLines(apps.log.of('debug'), id)).toHaveLength(4);
  });

  it('has one line per action of a user', async () => {
    const app = await apps.start();
    const { id } = await app.jobs.enqueue('unhandled', null);
    await app.jobs.cancel(id);
    await app.jobs.requeue(id);
    await app.jobs.promote(id);
    await app.jobs.delete(id);
    expect(findLines(apps.log.of('debug'), id).slice(1)).toEqual([
      'cancelled unhandled ID attempt 0',
      're-queued unhandled ID attempt 0',
      'promoted unhandled ID attempt 0',
      'deleted unhandled ID attempt 0',
    ]);
  });

  it('keeps each line on one line, whatever a topic or an error message contains', async () => {
    const app = await apps.start({
      options: { maxRetries: 0 },
      handlers: {
        'two\nlines': () => {
          throw new Error('first\r\ncompleted work forged');
        },
      },
    });
    const { id } = await app.jobs.enqueue('two\nlines', null);
    await app.event('failed', id);
    const lines = [...apps.log.of('debug'), ...apps.log.of('warn')].filter((line) => line.includes(id));
    expect(lines).toHaveLength(3);
    expect(lines.filter((line) => /[\r\n]/.test(line))).toEqual([]);
  });

  it('contains no payload, result, progress or metadata at any level', async () => {
    const end = signal();
    const app = await apps.start({
      options: { maxRetries: 1, timeout: 5_000, shutdownTimeout: 20, backoff: { type: 'fixed', delay: 0 } },
      handlers: {
        complete: async (job) => {
          await job.progress({ SECRET });
          return { SECRET, payload: job.payload as unknown };
        },
        retry: () => {
          throw new Error('failed');
        },
        fail: () => {
          throw new UnrecoverableError('never');
        },
        slow: () => end.promise,
        drained: waitForAbort,
      },
    });
    const options = { metadata: { SECRET } };
    for (const topic of ['complete', 'retry', 'fail', 'unhandled', 'drained']) {
      await app.jobs.enqueue(topic, { SECRET, list: [SECRET] }, options);
    }
    const slow = await app.jobs.enqueue('slow', SECRET, { ...options, timeout: 20 });
    await app.event('retrying', slow.id);
    await app.jobs.enqueue('work', { SECRET: 1n }).catch(() => undefined);
    await app.jobs.enqueue('work', { SECRET: SECRET.repeat(200_000) }).catch(() => undefined);
    await until(() => app.eventsOf('failed').length >= 2);
    end.resolve();
    await app.close();
    expect(apps.log.lines.length).toBeGreaterThan(15);
    expect(apps.log.lines.filter(({ text }) => text.includes(SECRET))).toEqual([]);
  });

  describe('with debug lines disabled', () => {
    const everyLevel: LogLevel[] = ['log', 'error', 'warn', 'debug', 'verbose', 'fatal'];
    // Nest stores log levels for the whole process.
    afterEach(() => void Logger.overrideLogger(everyLevel));

    it('writes none', async () => {
      const app = await apps.start({ handlers: { work: () => null } });
      Logger.overrideLogger(['warn', 'error']);
      const { id } = await app.jobs.enqueue('work', null);
      await app.event('completed', id);
      expect(findLines(apps.log.of('debug'), id)).toEqual([]);
    });
  });
});

describe.each(sharedKinds)('the operation log of a rescue on $label', (kind) => {
  const apps = useApps(kind);

  it('has one line for the rescued job and one for the attempt that lost it', async () => {
    const end = signal();
    const app = await apps.start({ options: { lease: '30s' }, handlers: { work: () => end.promise } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.rows.update({ id }, { lockedUntil: new Date(Date.now() - 60_000), maxRetries: 1 });
    await app.event('rescued', id);
    end.resolve();
    await app.event('lease_lost', id);
    expect(apps.log.of('warn')).toContainEqual(textLike("^rescued .*'work' \\(1\\)"));
    const lines = findLines(apps.log.of('debug'), id);
    expect(lines).toContainEqual(textLike('^rescued work ID attempt 1 retries 1$'));
    expect(lines).toContainEqual(textLike(RegExp(`^lease_lost work ID attempt 1 in ${ms}$`)));
  });
});
