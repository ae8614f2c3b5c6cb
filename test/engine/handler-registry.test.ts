import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { JobHandlerFunction } from '../../lib/core/job-handler.js';
import { defineJob } from '../../lib/core/job-topic.js';
import { HandlerRegistry } from '../../lib/engine/handler-registry.js';
import { thrownBy } from '../support/unit/thrown.js';

const run: JobHandlerFunction = () => undefined;

function registryOf(topics?: readonly string[], canRunTransactions = true): HandlerRegistry {
  return new HandlerRegistry({ topics, canRunTransactions });
}

function refusalOf(act: () => unknown): InvalidOptionsError {
  const error = thrownBy(act);
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('the registry of handlers', () => {
  it('gives a topic its handler, with its options read and its source', () => {
    const registry = registryOf();
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

  it('takes what a typed topic says for what its handler leaves open', () => {
    const registry = registryOf();
    const Mail = defineJob('mail', { timeout: '5s', concurrency: 2, maxRetries: 7 });
    registry.register(Mail, run, { timeout: undefined, concurrency: undefined, maxRetries: 1 });

    expect(registry.get('mail')!.settings).toMatchObject({ timeoutMs: 5_000, concurrency: 2, maxRetries: 1 });
  });

  it.each(['ship', 'Mail', 'mail ', '', 'constructor', '__proto__', 'toString'])(
    'has none for the topic %j',
    (topic) => {
      const registry = registryOf();
      registry.register('mail', run);

      expect(registry.get(topic)).toBeUndefined();
    },
  );

  it('takes topics that are called like members of every object', () => {
    const registry = registryOf();
    ['constructor', '__proto__'].forEach((topic) => registry.register(topic, run));

    expect(registry.claimable().map(({ topic }) => topic)).toEqual(['constructor', '__proto__']);
  });

  it('refuses a second handler for a topic, and names both', () => {
    const registry = registryOf();
    registry.register('mail', run, undefined, 'MailJobs.send');
    const error = refusalOf(() => registry.register('mail', run, undefined, 'OtherJobs.send'));

    expect(error.message).toBe("topic: 'mail' has two handlers, MailJobs.send and OtherJobs.send; one is allowed");
    expect(refusalOf(() => registry.register('mail', () => 1)).message).toContain('MailJobs.send and register()');
    expect(registry.get('mail')!.source).toBe('MailJobs.send');
  });

  it('keeps nothing of a handler that it refused', () => {
    const registry = registryOf();
    refusalOf(() => registry.register('mail', run, { concurrency: 0 }));
    registry.register('mail', run);

    expect(registry.claimable()).toHaveLength(1);
  });

  it.each(['', 'a'.repeat(256), 'a\u0000', 7, null, undefined])('refuses the topic %p', (topic) => {
    expect(refusalOf(() => registryOf().register(topic as string, run)).option).toBe('topic');
  });

  it.each([undefined, null, 'run', {}, Promise.resolve(run)])('refuses the handler %p', (handler) => {
    const register = (): void => registryOf().register('mail', handler as JobHandlerFunction);

    expect(refusalOf(register).message).toBe("handler of 'mail': expected a function");
  });

  it('refuses options that are wrong under the name of the topic', () => {
    expect(refusalOf(() => registryOf().register('mail', run, { timeout: 'soon' })).option).toBe(
      "handler of 'mail': timeout",
    );
  });
});

describe('a transactional handler', () => {
  it('is taken where the database can run handlers in transactions', () => {
    const registry = registryOf();
    registry.register('mail', run, { transactional: true });

    expect(registry.get('mail')!.settings.transactional).toBe(true);
  });

  it('is refused where it cannot, and the error names completeTx', () => {
    const registry = registryOf(undefined, false);
    const error = refusalOf(() => registry.register('mail', run, { transactional: true }, 'MailJobs.send'));

    expect(error.option).toBe('transactional');
    expect(error.message).toContain("of 'mail' (MailJobs.send) needs PostgreSQL");
    expect(error.message).toContain('job.completeTx(manager)');
    expect(registry.get('mail')).toBeUndefined();
  });

  it('is refused nowhere when it only says that it is none', () => {
    expect(() => registryOf(undefined, false).register('mail', run, { transactional: false })).not.toThrow();
  });
});

describe('the topics of a process', () => {
  it('are those with a handler here, when it was told nothing else', () => {
    const registry = registryOf();
    expect(registry.claimable()).toEqual([]);

    registry.register('mail', run);
    registry.register('ship', run);
    expect(registry.claimable().map(({ topic }) => topic)).toEqual(['mail', 'ship']);
    expect(registry.topicsWithoutHandler()).toEqual([]);
  });

  it('are those it was told, as far as a handler is here', () => {
    const registry = registryOf(['ship', 'bill']);
    registry.register('mail', run);
    registry.register('ship', run);

    expect(registry.claimable().map(({ topic }) => topic)).toEqual(['ship']);
    expect(registry.topicsWithoutHandler()).toEqual(['bill']);
  });

  it('do not keep it from knowing the handlers of others', () => {
    const registry = registryOf(['ship']);
    registry.register('mail', run, { maxRetries: 7 });

    expect(registry.get('mail')!.settings.maxRetries).toBe(7);
  });
});
