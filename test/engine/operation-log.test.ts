import type { JobEvent, JobEventType } from '../../lib/core/job-events.js';
import { logOperation } from '../../lib/engine/operation-log.js';
import { RecordingLogger } from '../support/unit/recording-logger.js';

const runAt = new Date('2026-03-01T10:00:00.000Z');
const error = { message: 'no connection', stack: 'at secret place' };
const job = { id: '01890a5d', topic: 'mail' };
const attempt = { ...job, attempt: 2 };
const ended = { ...attempt, durationMs: 12.345 };

/** One event of each type, with the line it makes. */
const LINES: { readonly [Type in JobEventType]: readonly [JobEvent & { type: Type }, string] } = {
  enqueued: [
    { type: 'enqueued', ...job, runAt, deduplicated: false },
    'enqueued mail 01890a5d due 2026-03-01T10:00:00.000Z',
  ],
  started: [{ type: 'started', ...attempt, waitedMs: 1.26 }, 'started mail 01890a5d attempt 2 after 1.3 ms of waiting'],
  completed: [{ type: 'completed', ...ended }, 'completed mail 01890a5d attempt 2 in 12.3 ms'],
  failed: [{ type: 'failed', ...ended, error }, 'failed mail 01890a5d attempt 2 in 12.3 ms: no connection'],
  retrying: [
    { type: 'retrying', ...ended, error, retries: 1, runAt },
    'retrying mail 01890a5d attempt 2 in 12.3 ms next 2026-03-01T10:00:00.000Z (no connection)',
  ],
  snoozed: [
    { type: 'snoozed', ...ended, runAt, reason: 'snooze' },
    'snoozed mail 01890a5d attempt 2 in 12.3 ms next 2026-03-01T10:00:00.000Z',
  ],
  cancelled: [{ type: 'cancelled', ...ended }, 'cancelled mail 01890a5d attempt 2 in 12.3 ms'],
  rescued: [{ type: 'rescued', ...attempt, retries: 1 }, 'rescued mail 01890a5d attempt 2 retries 1'],
  lease_lost: [{ type: 'lease_lost', ...ended }, 'lease_lost mail 01890a5d attempt 2 in 12.3 ms'],
};

function logged(event: JobEvent, logger = new RecordingLogger()): RecordingLogger {
  logOperation(logger, event);
  return logger;
}

describe('the operation log', () => {
  it.each(Object.entries(LINES))('has one line for an event of type %s', (type, [event, line]) => {
    expect(logged(event).lines).toEqual([{ level: type === 'failed' ? 'warn' : 'debug', message: line }]);
  });

  it('says of a job that was enqueued twice that it was already enqueued', () => {
    expect(logged({ type: 'enqueued', ...job, runAt, deduplicated: true }).of('debug')).toEqual([
      'enqueued mail 01890a5d (already enqueued) due 2026-03-01T10:00:00.000Z',
    ]);
  });

  it('says of a job that was given back that it was released', () => {
    const released: JobEvent = { type: 'snoozed', ...ended, runAt, reason: 'release' };
    expect(logged(released).of('debug')).toEqual([
      'released mail 01890a5d attempt 2 in 12.3 ms next 2026-03-01T10:00:00.000Z',
    ]);
  });

  it('says no time of an attempt that ran in another process', () => {
    expect(logged({ type: 'cancelled', ...attempt, durationMs: null }).of('debug')).toEqual([
      'cancelled mail 01890a5d attempt 2',
    ]);
  });

  it('never shows what else an event may carry: payloads, results, stacks', () => {
    for (const [event] of Object.values(LINES)) {
      const secrets = { payload: 's3cret', result: 's3cret', metadata: 's3cret', progress: 's3cret' };
      const laden: JobEvent = Object.assign({}, event, secrets);
      const [line] = logged(laden).lines;

      expect(line!.message).not.toMatch(/s3cret|secret place/);
      expect(line!.stack).toBeUndefined();
    }
  });

  it('is silent about what went as it should when debug lines are not wanted, and still warns', () => {
    const quiet = Object.assign(new RecordingLogger(), { isDebugEnabled: () => false });
    Object.values(LINES).forEach(([event]) => logged(event, quiet));

    expect(quiet.lines.map(({ level }) => level)).toEqual(['warn']);
  });

  it('warns of jobs that failed for good, and of nothing else', () => {
    const logger = new RecordingLogger();
    Object.values(LINES).forEach(([event]) => logged(event, logger));

    expect(logger.of('warn')).toEqual([LINES.failed[1]]);
    expect(logger.of('debug')).toHaveLength(Object.keys(LINES).length - 1);
  });
});
