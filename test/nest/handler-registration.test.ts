/** @matrix nest-11 */

import type { CanActivate, DynamicModule } from '@nestjs/common';
import { Controller, Injectable, Module, Scope, UseGuards } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { defineJob, InvalidOptionsError, JobHandler } from 'nestjs-jobs';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';

@Injectable()
class MailJobs {
  @JobHandler('mail')
  send(): string {
    return 'sent';
  }
}

@Module({})
class MailModule {
  static register(name: string): DynamicModule {
    return { module: MailModule, providers: [MailJobs, { provide: 'NAME', useValue: name }], exports: [MailJobs] };
  }
}

/** Replaces the method, as decorators for tracing and transactions do. */
const traced = (_target: object, _name: string, descriptor: TypedPropertyDescriptor<() => string>): void => {
  const method = descriptor.value!;
  descriptor.value = function (this: unknown) {
    return `traced ${method.call(this)}`;
  };
};

const createCase = (topic: string, parts: AppParts, result: unknown) => ({ topic, parts, result });

describe('a handler', () => {
  const apps = useApps(sqliteMemory);

  @Injectable()
  class TracedJobs {
    @traced
    @JobHandler('traced')
    run(): string {
      return 'run';
    }
  }
  @Controller({ scope: Scope.REQUEST })
  class ScopedController {
    @JobHandler('scoped')
    run(job: JobContext): string {
      return job.topic;
    }
  }
  class BaseJobs {
    @JobHandler('inherited')
    run(): string {
      return this.constructor.name;
    }

    @JobHandler('overridden')
    other(): string {
      return 'base';
    }
  }
  @Injectable()
  class FirstJobs extends BaseJobs {
    @JobHandler('renamed')
    override other(): string {
      return `renamed ${super.other()}`;
    }
  }

  it.each([
    ['in a dynamic module is found', createCase('mail', { imports: [MailModule.register('a')] }, 'sent')],
    [
      'below a decorator that replaces the method is found',
      createCase('traced', { providers: [TracedJobs] }, 'traced run'),
    ],
    ['of a request-scoped controller is found', createCase('scoped', { controllers: [ScopedController] }, 'scoped')],
    ['that is inherited runs on the subclass', createCase('inherited', { providers: [FirstJobs] }, 'FirstJobs')],
    [
      'that overrides another has only its own topics',
      createCase('renamed', { providers: [FirstJobs] }, 'renamed base'),
    ],
    [
      'of an instance with several tokens is registered once',
      createCase(
        'mail',
        {
          providers: [
            MailJobs,
            { provide: 'ALIAS', useExisting: MailJobs },
            { provide: 'ALIAS_OF_ALIAS', useExisting: 'ALIAS' },
            { provide: 'FACTORY', inject: [MailJobs], useFactory: (jobs: MailJobs) => jobs },
          ],
        },
        'sent',
      ),
    ],
  ])('%s', async (_, { topic, parts, result }) => {
    const app = await apps.start(parts);
    const { id } = await app.jobs.enqueue(topic, null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result });
  });

  describe('whose method is replaced on the instance', () => {
    const refusing: CanActivate = { canActivate: () => false };
    /** Binds a method at its first access, as some decorators do. */
    const bound = (_target: object, _name: string, descriptor: TypedPropertyDescriptor<() => string>) => {
      const method = descriptor.value!;
      return {
        configurable: true,
        get(this: object) {
          return method.bind(this);
        },
      };
    };

    @Injectable()
    class BoundJobs {
      constructor() {
        this.run = this.run.bind(this);
        this.guarded = this.guarded.bind(this);
      }

      @JobHandler('bound')
      run(): string {
        return this.constructor.name;
      }

      @UseGuards(refusing)
      @JobHandler('guarded')
      guarded(): string {
        return 'never';
      }
    }
    @Injectable()
    class AccessorJobs {
      @bound
      @JobHandler('accessor')
      run(): string {
        return this.constructor.name;
      }

      @bound
      @JobHandler('guarded accessor')
      @UseGuards(refusing)
      guarded(): string {
        return 'never';
      }
    }
    @Injectable()
    class TwiceGuardedJobs {
      @UseGuards({ canActivate: () => true })
      @traced
      @UseGuards(refusing)
      @JobHandler('guarded below')
      run(): string {
        return 'never';
      }
    }
    @Injectable()
    class FieldJobs extends BaseJobs {
      override run = (): string => 'field';
    }

    it.each([
      ['bound by its constructor', BoundJobs, 'bound', 'BoundJobs'],
      ['bound by an accessor', AccessorJobs, 'accessor', 'AccessorJobs'],
      ['a field that shadows an inherited method', FieldJobs, 'inherited', 'field'],
    ])('runs the replacement: %s', async (_, provider, topic, result) => {
      const app = await apps.start({ providers: [provider] });
      const { id } = await app.jobs.enqueue(topic, null);
      expect(await app.jobAfter('completed', id)).toMatchObject({ result });
    });

    it.each([
      ['bound by its constructor', BoundJobs, 'guarded'],
      ['bound by an accessor', AccessorJobs, 'guarded accessor'],
      ['replaced, with an outer guard', TwiceGuardedJobs, 'guarded below'],
    ])('keeps the guards of the method: %s', async (_, provider, topic) => {
      const app = await apps.start({ providers: [provider] });
      const { id } = await app.jobs.enqueue(topic, null);
      expect(await app.jobAfter('failed', id)).toMatchObject({ lastError: 'refused by a guard' });
    });

    it('runs a spy that was installed before the application starts', async () => {
      const app = await apps.create({ providers: [MailJobs] });
      const spy = jest.spyOn(app.app.get(MailJobs), 'send').mockReturnValue('spied');
      await app.app.init();
      const { id } = await app.jobs.enqueue('mail', null);
      expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'spied' });
      expect(spy).toHaveBeenCalledTimes(1);
    });

    it('stops the start if the replacement is not a function', async () => {
      @Injectable()
      class BrokenJobs extends BaseJobs {
        override run = 7 as never;
      }
      await expect(apps.start({ providers: [BrokenJobs] })).rejects.toThrow('@JobHandler: on BrokenJobs.run');
    });
  });

  it('that is overridden without a decorator is not registered', async () => {
    @Injectable()
    class UndecoratedJobs extends BaseJobs {
      override other(): string {
        return 'no handler';
      }
    }
    const app = await apps.start({ providers: [UndecoratedJobs] });
    const { id } = await app.jobs.enqueue('overridden', null);
    await expect(app.jobs.whenIdle()).rejects.toThrow("'overridden'");
    expect(await app.job(id)).toMatchObject({ status: 'pending' });
  });
});

describe('an invalid registration stops the start:', () => {
  const apps = useApps(sqliteMemory);

  @Injectable()
  class NamelessJobs {
    @JobHandler('')
    run(): void {}
  }
  @Injectable()
  class InvalidTimeoutJobs {
    @JobHandler('invalid', { timeout: -1 })
    run(): void {}
  }
  @Injectable()
  class MistypedJobs {
    @JobHandler('mistyped', { concurency: 2 } as object)
    run(): void {}
  }
  @Injectable()
  class TransactionalJobs {
    @JobHandler('transactional', { transactional: true })
    run(): void {}
  }

  it.each([
    ['without a topic', NamelessJobs, /^topic of NamelessJobs\.run: /],
    ['with an invalid option', InvalidTimeoutJobs, /^handler InvalidTimeoutJobs\.run of 'invalid': timeout: /],
    ['with an unknown option', MistypedJobs, /^handler MistypedJobs\.run of 'mistyped': concurency: /],
    [
      'with an option that the database does not support',
      TransactionalJobs,
      /^transactional: .*'transactional' \(TransactionalJobs\.run\)/,
    ],
  ])('a handler %s; the error names class and method', async (_, provider, text) => {
    const error = await apps.refusal({ providers: [provider] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(text);
  });

  it('a topic that is given twice on a method', async () => {
    const Mail = defineJob('mail');
    @Injectable()
    class TwiceJobs {
      @JobHandler('mail')
      @JobHandler(Mail, { concurrency: 2 })
      @JobHandler('other')
      run(): void {}
    }
    const error = await apps.refusal({ providers: [TwiceJobs] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toBe("@JobHandler: 'mail' is given twice on TwiceJobs.run; remove one");
  });

  it('a class that is provided twice; the error names both', async () => {
    const error = await apps.refusal({ imports: [MailModule.register('a'), MailModule.register('b')] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/^topic: 'mail' has two handlers, both MailJobs\.send/);
  });

  const decorate = JobHandler('misplaced') as (...target: unknown[]) => void;
  const symbolName = Symbol('symbolName');
  class Target {
    static run(): void {}
    [symbolName](): void {}
    get value(): number {
      return 1;
    }
  }

  it.each([
    ['a class', () => decorate(Target), 'Target: ', 'got the class itself'],
    [
      'a static method',
      () => decorate(Target, 'run', Object.getOwnPropertyDescriptor(Target, 'run')),
      'Target.run: ',
      'static',
    ],
    ['a property', () => decorate(Target.prototype, 'text'), 'Target.text: ', 'a property or an accessor'],
    [
      'an accessor',
      () => decorate(Target.prototype, 'value', Object.getOwnPropertyDescriptor(Target.prototype, 'value')),
      'Target.value: ',
      'a property or an accessor',
    ],
    [
      'a method named by a symbol',
      () => decorate(Target.prototype, symbolName, Object.getOwnPropertyDescriptor(Target.prototype, symbolName)),
      'Target.Symbol(symbolName): ',
      'a symbol',
    ],
    ['a value', () => decorate(Target.prototype, 'list', { value: 'text' }), 'Target.list: ', "got 'text'"],
  ])('a decorator on %s, when the class is defined', (_, apply, target, got) => {
    expect(apply).toThrow(InvalidOptionsError);
    expect(apply).toThrow(`@JobHandler: on ${target}`);
    expect(apply).toThrow(got);
  });
});
