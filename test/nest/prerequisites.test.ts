import type { ModuleMetadata } from '@nestjs/common';
import { Injectable } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { InvalidOptionsError, JobsModule } from 'nestjs-jobs';
import { DataSource } from 'typeorm';

const typeOrm = TypeOrmModule.forRoot({ type: 'better-sqlite3', database: ':memory:' });

/** What stops an application of these modules, as `NestFactory` tells it. */
async function refusal(imports: NonNullable<ModuleMetadata['imports']>): Promise<Error> {
  class AppModule {}
  const root = { module: AppModule, imports };
  return NestFactory.createApplicationContext(root, { logger: false, abortOnError: false }).then(
    async (app) => {
      await app.close();
      throw new Error('the application has started');
    },
    (error: unknown) => error as Error,
  );
}

describe('an application that lacks what the queue needs is told so', () => {
  it.each([
    ['no DataSource', [JobsModule.forRoot()], 'import TypeOrmModule.forRoot()'],
    [
      'no DataSource, with options from a factory',
      [JobsModule.forRootAsync({ useFactory: () => ({}) })],
      'import TypeOrmModule.forRoot()',
    ],
    [
      'no DataSource of this name',
      [typeOrm, JobsModule.forRoot({ dataSource: 'shop' })],
      "no DataSource is named 'shop'",
    ],
  ])('%s', async (_, imports, text) => {
    const error = await refusal(imports);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/^dataSource: /);
    expect(error.message).toContain(text);
  });

  it('a DataSource that the module sees', async () => {
    class ShopModule {}
    const shop = { module: ShopModule, providers: [{ provide: DataSource, useValue: {} }] };
    const error = await refusal([shop, JobsModule.forRoot()]);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toBe(
      'dataSource: JobsModule cannot see the DataSource of ShopModule; make ShopModule global',
    );
  });

  it('a database that answers: its own error is told', async () => {
    const away = TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'better-sqlite3', database: ':memory:', retryAttempts: 0 }) as const,
      dataSourceFactory: () => Promise.reject(new Error('the database is away')),
    });
    expect((await refusal([away, JobsModule.forRoot()])).message).toBe('the database is away');
  });

  it('no forRoot()', async () => {
    const error = await refusal([typeOrm, JobsModule]);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toBe(
      'JobsModule: imported as a class; import JobsModule.forRoot() or JobsModule.forRootAsync() in the root module',
    );
  });

  it('no inject for what its factory takes', () => {
    const useFactory = (settings: Settings) => ({ maxRetries: settings.retries });
    for (const inject of [undefined, []]) {
      expect(() => JobsModule.forRootAsync({ inject, useFactory })).toThrow(InvalidOptionsError);
      expect(() => JobsModule.forRootAsync({ inject, useFactory })).toThrow(
        'inject: expected one provider for each parameter of useFactory (1), got none',
      );
    }
    expect(() => JobsModule.forRootAsync({ inject: [Settings], useFactory })).not.toThrow();
  });

  it.each([
    [{}, 'useFactory: expected useFactory, useClass or useExisting, got none of them'],
    [{ useFactory: 'options' }, "useFactory: expected a function, got 'options'"],
    [{ useClass: {} }, 'useClass: expected a class, got an object'],
    [{ useExisting: null }, 'useExisting: expected the token of a provider, got null'],
    [
      { useFactory: () => ({}), useExisting: 'OPTIONS' },
      'useExisting: expected one of useFactory, useClass, useExisting, got useFactory too',
    ],
    [{ useExisting: 'OPTIONS', inject: ['SETTINGS'] }, 'inject: expected it with useFactory only, got useExisting'],
  ])('one source of options for forRootAsync: %p', (given, text) => {
    const build = (): unknown => JobsModule.forRootAsync(given as never);
    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow(text);
  });
});

@Injectable()
class Settings {
  readonly retries = 7;
}
