/** @matrix nest-11 */

import { Logger } from '@nestjs/common';
import { guardLogger, silentLogger } from '../../lib/core/logger.js';
import { moduleLogger } from '../../lib/nest/nest-logger.js';
import { RecordingLogger } from '../support/unit/recording-logger.js';

const fails = (): never => {
  throw new Error('disk full');
};

describe('a guarded logger', () => {
  it('passes every line on unchanged', () => {
    const inner = new RecordingLogger();
    const logger = guardLogger(inner);

    logger.debug('one');
    logger.log('two');
    logger.warn('three');
    logger.error('four', 'at five');

    expect(inner.lines).toEqual([
      { level: 'debug', message: 'one' },
      { level: 'log', message: 'two' },
      { level: 'warn', message: 'three' },
      { level: 'error', message: 'four', stack: 'at five' },
    ]);
  });

  it.each(['\n', '\r\n', '\n\n   at ', '\u2028', '\u2029', '\u0085', '\u001b[2K', '\u0000', '\t'])(
    'writes a message with %j on one line and leaves its stack unchanged',
    (breaking) => {
      const inner = new RecordingLogger();
      const logger = guardLogger(inner);
      const message = `failed ma${breaking}il: no${breaking}connection`;
      logger.debug(message);
      logger.log(message);
      logger.warn(message);
      logger.error(message, 'at five\nat six');

      expect(inner.lines).toHaveLength(4);
      // eslint-disable-next-line no-control-regex -- the test searches for control characters
      expect(inner.lines.every(({ message: text }) => !/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(text))).toBe(
        true,
      );
      expect(inner.lines[3]!.stack).toBe('at five\nat six');
    },
  );

  it.each([...'\u202a\u202e\u2066\u2069\u200e\u200f\u061c'])(
    'shows a character that changes the direction of text: %j',
    (control) => {
      const inner = new RecordingLogger();
      guardLogger(inner).warn(`no live process handles 'a${control}b'`);
      const shown = `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
      expect(inner.lines[0]!.message).toBe(`no live process handles 'a${shown}b'`);
    },
  );

  it('never throws, even if the inner logger throws', () => {
    const logger = guardLogger({ debug: fails, log: fails, warn: fails, error: fails, isDebugEnabled: fails });

    expect(() => {
      logger.debug('a');
      logger.log('a');
      logger.warn('a');
      logger.error('a');
    }).not.toThrow();
    expect(logger.isDebugEnabled?.()).toBe(false);
  });

  it('reads isDebugEnabled at each call; the default is true', () => {
    let isWanted = true;
    const asked = guardLogger({ ...silentLogger, isDebugEnabled: () => isWanted });

    expect(asked.isDebugEnabled?.()).toBe(true);
    isWanted = false;
    expect(asked.isDebugEnabled?.()).toBe(false);
    expect(guardLogger(new RecordingLogger()).isDebugEnabled?.()).toBe(true);
  });
});

describe('the logger of the module', () => {
  afterEach(() => void Logger.overrideLogger(['fatal']));

  it('never throws, even if the logger of the application throws', () => {
    const own = { log: fails, warn: fails, error: fails };
    Logger.overrideLogger(own);
    expect(() => {
      moduleLogger.log('cancelled job 1');
      moduleLogger.warn('SIGTERM has no listener');
      moduleLogger.error('GET / failed', 'at one');
    }).not.toThrow();
  });
});
