import type { JobEvent, JobEventType } from '../../../lib/core/job-events.js';
import { logOperation } from '../../../lib/engine/runtime/operation-log.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';

const runAt = new Date('2026-03-01T10:00:00.000Z');
const error = { message: 'no connection', stack: 'at secret place' };
const job = { id: '01890a5d', topic: 'mail' };
const attempt = { ...job, attempt: 2 };
const ended = { ...attempt, durationMs: 12.345 };

/** One event of each type with its log line. */
const LINES: { readonly [Type in JobEventType]: readonly [JobEvent & { type: Type }, string] } = {
  enqueued: [
    { type: 'enqueued', ...job, runAt, deduplicated: false },
    'enqueued mail 01890a5d due 2026-03-01T10:00:00.000Z',
  ],
  replaced: [{ type: 'replaced', ...job, runAt }, 'replaced mail 01890a5d due 2026-03-01T10:00:00.000Z'],
  started: [{ type: 'started', ...attempt, waitedMs: 1.26 }, 'started mail 01890a5d attempt 2 after 1.3 ms of waiting'],
  completed: [{ type: 'completed', ...ended }, 'completed mail 01890a5d attempt 2 in 12.3 ms'],
  failed: [{ type: 'failed', ...ended, error }, 'failed mail 01890a5d attempt 2 in 12.3 ms: no connection'],
  retrying: [
    { type: 'retrying', ...ended, error, retries: 1, runAt },
    'retrying mail 01890a5d attempt 2 in 12.3 ms next 2026-03-01T10:00:00.000Z (no connection)',
  ],
  snoozed: [
    { type: 'snoozed', ...ended, runAt },
    'snoozed mail 01890a5d attempt 2 in 12.3 ms next 2026-03-01T10:00:00.000Z',
  ],
  released: [
    { type: 'released', ...ended, runAt },
    'released mail 01890a5d attempt 2 in 12.3 ms next 2026-03-01T10:00:00.000Z',
  ],
  cancelled: [{ type: 'cancelled', ...ended }, 'cancelled mail 01890a5d attempt 2 in 12.3 ms'],
  expired: [{ type: 'expired', ...attempt }, 'expired mail 01890a5d attempt 2'],
  rescued: [{ type: 'rescued', ...attempt, retries: 1 }, 'rescued mail 01890a5d attempt 2 retries 1'],
  lease_lost: [{ type: 'lease_lost', ...ended }, 'lease_lost mail 01890a5d attempt 2 in 12.3 ms'],
};

function logEvent(event: JobEvent, logger = new RecordingLogger()): RecordingLogger {
  logOperation({ logger, operationLog: true }, event);
  return logger;
}

describe('the operation log', () => {
  it.each(Object.entries(LINES))('writes one line for an event of type %s', (type, [event, line]) => {
    expect(logEvent(event).lines).toEqual([{ level: type === 'failed' ? 'warn' : 'debug', message: line }]);
  });

  it('writes "already enqueued" for a repeated enqueue', () => {
    expect(logEvent({ type: 'enqueued', ...job, runAt, deduplicated: true }).of('debug')).toEqual([
      'enqueued mail 01890a5d (already enqueued) due 2026-03-01T10:00:00.000Z',
    ]);
  });

  it('writes no duration for an attempt of another process', () => {
    expect(logEvent({ type: 'cancelled', ...attempt, durationMs: null }).of('debug')).toEqual([
      'cancelled mail 01890a5d attempt 2',
    ]);
  });

  it('never writes payloads, results or stacks', () => {
    for (const [event] of Object.values(LINES)) {
      const secrets = { payload: 's3cret', result: 's3cret', metadata: 's3cret', progress: 's3cret' };
      const laden: JobEvent = Object.assign({}, event, secrets);
      const [line] = logEvent(laden).lines;

      expect(line!.message).not.toMatch(/s3cret|secret place/);
      expect(line!.stack).toBeUndefined();
    }
  });

  it('writes only warnings when the debug level is off', () => {
    const quiet = Object.assign(new RecordingLogger(), { isDebugEnabled: () => false });
    Object.values(LINES).forEach(([event]) => logEvent(event, quiet));

    expect(quiet.lines.map(({ level }) => level)).toEqual(['warn']);
  });

  it('warns only of jobs that failed permanently', () => {
    const logger = new RecordingLogger();
    Object.values(LINES).forEach(([event]) => logEvent(event, logger));

    expect(logger.of('warn')).toEqual([LINES.failed[1]]);
    expect(logger.of('debug')).toHaveLength(Object.keys(LINES).length - 1);
  });
});
