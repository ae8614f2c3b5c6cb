import type { CanActivate, DynamicModule } from '@nestjs/common';
import { Controller, Injectable, Module, Scope, UseGuards } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler } from 'nestjs-jobs';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { sqliteMemory } from './support/database-kinds.js';
import { textWith } from './support/matchers.js';

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

/** Puts another function in the method's place, as decorators for tracing and transactions do. */
const traced = (_target: object, _name: string, descriptor: TypedPropertyDescriptor<() => string>): void => {
  const method = descriptor.value!;
  descriptor.value = function (this: unknown) {
    return `traced ${method.call(this)}`;
  };
};

const runs = (topic: string, parts: AppParts, result: unknown) => ({ topic, parts, result });

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
    ['in a dynamic module is found', runs('mail', { imports: [MailModule.register('a')] }, 'sent')],
    ['below a decorator that replaces the method is found', runs('traced', { providers: [TracedJobs] }, 'traced run')],
    ['of a request-scoped controller is found', runs('scoped', { controllers: [ScopedController] }, 'scoped')],
    [
      'that is inherited runs on the class that inherits it',
      runs('inherited', { providers: [FirstJobs] }, 'FirstJobs'),
    ],
    [
      'that overrides another has the topics it names itself',
      runs('renamed', { providers: [FirstJobs] }, 'renamed base'),
    ],
    [
      'of an instance that has a second name, a third and a factory is registered once',
      runs(
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

  describe('whose instance has something else in the place of its method', () => {
    const refusing: CanActivate = { canActivate: () => false };
    /** Binds a method when it is first asked for, as decorators of that name do. */
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
      ['a field that hides an inherited one', FieldJobs, 'inherited', 'field'],
    ])('runs that: %s', async (_, provider, topic, result) => {
      const app = await apps.start({ providers: [provider] });
      const { id } = await app.jobs.enqueue(topic, null);
      expect(await app.jobAfter('completed', id)).toMatchObject({ result });
    });

    it.each([
      ['bound by its constructor', BoundJobs, 'guarded'],
      ['bound by an accessor', AccessorJobs, 'guarded accessor'],
      ['replaced, with a guard above', TwiceGuardedJobs, 'guarded below'],
    ])('keeps the guards of the method: %s', async (_, provider, topic) => {
      const app = await apps.start({ providers: [provider] });
      const { id } = await app.jobs.enqueue(topic, null);
      expect(await app.jobAfter('failed', id)).toMatchObject({ lastError: textWith('Forbidden') });
    });

    it('runs a spy that was put there before the application starts', async () => {
      const app = await apps.create({ providers: [MailJobs] });
      const spy = jest.spyOn(app.app.get(MailJobs), 'send').mockReturnValue('spied');
      await app.app.init();
      const { id } = await app.jobs.enqueue('mail', null);
      expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'spied' });
      expect(spy).toHaveBeenCalledTimes(1);
    });

    it('stops the application when that is no method', async () => {
      @Injectable()
      class BrokenJobs extends BaseJobs {
        override run = 7 as never;
      }
      await expect(apps.start({ providers: [BrokenJobs] })).rejects.toThrow(
        '@JobHandler: on BrokenJobs.run: expected a method, got 7',
      );
    });
  });

  it('that is overridden without a decorator is none any more', async () => {
    @Injectable()
    class QuietJobs extends BaseJobs {
      override other(): string {
        return 'no handler';
      }
    }
    const app = await apps.start({ providers: [QuietJobs] });
    const { id } = await app.jobs.enqueue('overridden', null);
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ status: 'pending' });
  });
});

describe('a registration that is wrong stops the application', () => {
  const apps = useApps(sqliteMemory);

  @Injectable()
  class NamelessJobs {
    @JobHandler('')
    run(): void {}
  }
  @Injectable()
  class HastyJobs {
    @JobHandler('hasty', { timeout: -1 })
    run(): void {}
  }
  @Injectable()
  class MistypedJobs {
    @JobHandler('mistyped', { concurency: 2 } as object)
    run(): void {}
  }
  @Injectable()
  class WholeJobs {
    @JobHandler('whole', { transactional: true })
    run(): void {}
  }

  it.each([
    ['without a topic', NamelessJobs, /^topic of NamelessJobs\.run: expected text/],
    ['with a refused option', HastyJobs, /^handler HastyJobs\.run of 'hasty': timeout: expected a duration.*got -1/],
    ['with an unknown option', MistypedJobs, /^handler MistypedJobs\.run of 'mistyped': concurency: unknown option/],
    [
      'that the database cannot do',
      WholeJobs,
      /^transactional: the handler of 'whole' \(WholeJobs\.run\) needs PostgreSQL/,
    ],
  ])('%s, and names class and method', async (_, provider, text) => {
    const error = await apps.refusal({ providers: [provider] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(text);
  });

  it('that a class brings along twice, and says what to do', async () => {
    const error = await apps.refusal({ imports: [MailModule.register('a'), MailModule.register('b')] });
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toBe(
      "topic: 'mail' has two handlers, both MailJobs.send: its class is provided twice; provide it once and export " +
        'it, or name it again with useExisting',
    );
  });

  const decorate = JobHandler('somewhere') as (...place: unknown[]) => void;
  const word = Symbol('word');
  class Place {
    static run(): void {}
    [word](): void {}
    get value(): number {
      return 1;
    }
  }

  it.each([
    ['a class', () => decorate(Place), 'Place: ', 'got the class itself'],
    [
      'a static method',
      () => decorate(Place, 'run', Object.getOwnPropertyDescriptor(Place, 'run')),
      'Place.run: ',
      'static',
    ],
    ['a property', () => decorate(Place.prototype, 'text'), 'Place.text: ', 'a property or an accessor'],
    [
      'an accessor',
      () => decorate(Place.prototype, 'value', Object.getOwnPropertyDescriptor(Place.prototype, 'value')),
      'Place.value: ',
      'a property or an accessor',
    ],
    [
      'a method named by a symbol',
      () => decorate(Place.prototype, word, Object.getOwnPropertyDescriptor(Place.prototype, word)),
      'Place.Symbol(word): ',
      'a symbol',
    ],
    ['a value', () => decorate(Place.prototype, 'list', { value: 'text' }), 'Place.list: ', "got 'text'"],
  ])('on %s, as soon as its class is made', (_, apply, place, got) => {
    expect(apply).toThrow(InvalidOptionsError);
    expect(apply).toThrow(`@JobHandler: on ${place}expected a method of the class`);
    expect(apply).toThrow(got);
  });
});
