import type { Duration } from '../../../lib/core/duration.js';
import { InvalidOptionsError } from '../../../lib/core/errors.js';
import type { JobHandlerFunction } from '../../../lib/core/job-handler.js';
import { defineJob } from '../../../lib/core/job-topic.js';
import { silentLogger } from '../../../lib/core/logger.js';
import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import { captureThrown } from '../../support/unit/capture-thrown.js';

const run: JobHandlerFunction = () => undefined;

function createRegistry(topics?: readonly string[], canRunTransactions = true): HandlerRegistry {
  return new HandlerRegistry({ topics, canRunTransactions });
}

function catchError(act: () => unknown): InvalidOptionsError {
  const error = captureThrown(act);
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('HandlerRegistry', () => {
  it('returns the handler of a topic with its parsed options and its source', () => {
    const registry = createRegistry();
    registry.register('mail', run, { timeout: '30s', concurrency: 5 }, 'MailJobs.send');

    expect(registry.get('mail')).toEqual({
      topic: 'mail',
      run,
      source: 'MailJobs.send',
      settings: {
        concurrency: 5,
        timeoutMs: 30_000,
        maxRetries: undefined,
        backoff: undefined,
        priority: undefined,
        transactional: false,
      },
    });
    expect(Object.isFrozen(registry.get('mail'))).toBe(true);
    expect(Object.isFrozen(registry.get('mail')!.settings)).toBe(true);
  });

  it('uses the options of a typed topic as defaults of its handler', () => {
    const registry = createRegistry();
    const Mail = defineJob('mail', { timeout: '5s', concurrency: 2, maxRetries: 7 });
    registry.register(Mail, run, { timeout: undefined, concurrency: undefined, maxRetries: 1 });

    expect(registry.get('mail')!.settings).toMatchObject({ timeoutMs: 5_000, concurrency: 2, maxRetries: 1 });
  });

  it.each(['ship', 'Mail', 'mail ', '', 'constructor', '__proto__', 'toString'])(
    'has no handler for the topic %j',
    (topic) => {
      const registry = createRegistry();
      registry.register('mail', run);

      expect(registry.get(topic)).toBeUndefined();
    },
  );

  it('accepts topics named like members of Object.prototype', () => {
    const registry = createRegistry();
    ['constructor', '__proto__'].forEach((topic) => registry.register(topic, run));

    expect(registry.claimable().map(({ topic }) => topic)).toEqual(['constructor', '__proto__']);
  });

  it('rejects a second handler for a topic and names both', () => {
    const registry = createRegistry();
    registry.register('mail', run, undefined, 'MailJobs.send');
    const error = catchError(() => registry.register('mail', run, undefined, 'OtherJobs.send'));

    expect(error.message).toBe("topic: 'mail' has two handlers, MailJobs.send and OtherJobs.send; one is allowed");
    expect(catchError(() => registry.register('mail', () => 1)).message).toContain('MailJobs.send and register()');
    expect(registry.get('mail')!.source).toBe('MailJobs.send');
  });

  it('does not keep a rejected handler', () => {
    const registry = createRegistry();
    catchError(() => registry.register('mail', run, { concurrency: 0 }));
    registry.register('mail', run);

    expect(registry.claimable()).toHaveLength(1);
  });

  it.each(['', 'a'.repeat(256), 'a\u0000', 7, null, undefined])('rejects the topic %p', (topic) => {
    expect(catchError(() => createRegistry().register(topic as string, run)).option).toBe('topic');
  });

  it.each([undefined, null, 'run', {}, Promise.resolve(run)])('rejects the handler %p', (handler) => {
    const register = (): void => createRegistry().register('mail', handler as JobHandlerFunction);

    expect(catchError(register).message).toBe("handler of 'mail': expected a function");
  });

  it('rejects wrong options and names the topic', () => {
    expect(catchError(() => createRegistry().register('mail', run, { timeout: 'soon' as Duration })).option).toBe(
      "handler of 'mail': timeout",
    );
  });
});

describe('a transactional handler', () => {
  it('is accepted on a database that can run handlers in transactions', () => {
    const registry = createRegistry();
    registry.register('mail', run, { transactional: true });

    expect(registry.get('mail')!.settings.transactional).toBe(true);
  });

  it('is rejected on a database that cannot, with an error that names completeTx', () => {
    const registry = createRegistry(undefined, false);
    const error = catchError(() => registry.register('mail', run, { transactional: true }, 'MailJobs.send'));

    expect(error.option).toBe('transactional');
    expect(error.message).toContain("of 'mail' (MailJobs.send) needs PostgreSQL");
    expect(error.message).toContain('job.completeTx(manager)');
    expect(registry.get('mail')).toBeUndefined();
  });

  it('is rejected on PostgreSQL without the transactions of an ORM, with an error that names the option', () => {
    const registry = new HandlerRegistry({ topics: undefined, canRunTransactions: false, database: 'postgres' });
    const error = catchError(() => registry.register('mail', run, { transactional: true }, 'MailJobs.send'));

    expect(error.message).toContain(
      "of 'mail' (MailJobs.send) needs transactions of your ORM; pass the option transactions: ",
    );
    expect(error.message).not.toContain('SQLite');
  });

  it('is accepted on any database with transactional: false', () => {
    expect(() => createRegistry(undefined, false).register('mail', run, { transactional: false })).not.toThrow();
  });
});

describe('a process without handlers', () => {
  it.each([
    [
      'worker',
      'warn',
      'no @JobHandler found, so this worker runs no jobs: is its class among the providers of a module?',
    ],
    ['all', 'log', 'has no handlers yet, and runs no jobs'],
  ] as const)('says so at its start, with role %s by %s', (role, level, message) => {
    const lines: [string, string][] = [];
    const write = (name: string) => (line: string) => void lines.push([name, line]);
    createRegistry().describe({ ...silentLogger, warn: write('warn'), log: write('log') }, role);
    expect(lines).toEqual([[level, message]]);
  });
});

describe('the topics of a process', () => {
  const readWarnings = (registry: HandlerRegistry): string[] => {
    const warnings: string[] = [];
    registry.describe({ ...silentLogger, warn: (message) => warnings.push(message as string) }, 'all');
    return warnings;
  };

  it('are by default those with a handler', () => {
    const registry = createRegistry();
    expect(registry.claimable()).toEqual([]);

    registry.register('mail', run);
    registry.register('ship', run);
    expect(registry.claimable().map(({ topic }) => topic)).toEqual(['mail', 'ship']);
    expect(readWarnings(registry)).toEqual([]);
  });

  it('are the given ones that have a handler', () => {
    const registry = createRegistry(['ship', 'bill']);
    registry.register('mail', run);
    registry.register('ship', run);

    expect(registry.claimable().map(({ topic }) => topic)).toEqual(['ship']);
    expect(readWarnings(registry)).toEqual([expect.stringContaining("names 'bill',")]);
  });

  it('do not limit which handlers it returns', () => {
    const registry = createRegistry(['ship']);
    registry.register('mail', run, { maxRetries: 7 });

    expect(registry.get('mail')!.settings.maxRetries).toBe(7);
  });
});
