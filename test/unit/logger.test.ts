import { guardedLogger, silentLogger } from '../../lib/core/logger.js';
import { RecordingLogger } from './support/recording-logger.js';

const fails = (): never => {
  throw new Error('disk full');
};

describe('a guarded logger', () => {
  it('hands every line on as it is', () => {
    const inner = new RecordingLogger();
    const logger = guardedLogger(inner);

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

  it('never throws, even when the logger inside does', () => {
    const logger = guardedLogger({ debug: fails, log: fails, warn: fails, error: fails, isDebugEnabled: fails });

    expect(() => {
      logger.debug('a');
      logger.log('a');
      logger.warn('a');
      logger.error('a');
    }).not.toThrow();
    expect(logger.isDebugEnabled?.()).toBe(false);
  });

  it('asks whether debug lines are wanted each time, and takes silence for yes', () => {
    let isWanted = true;
    const asked = guardedLogger({ ...silentLogger, isDebugEnabled: () => isWanted });

    expect(asked.isDebugEnabled?.()).toBe(true);
    isWanted = false;
    expect(asked.isDebugEnabled?.()).toBe(false);
    expect(guardedLogger(new RecordingLogger()).isDebugEnabled?.()).toBe(true);
  });
});
