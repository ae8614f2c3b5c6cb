/** @matrix nest-11 */

import type { ModuleMetadata } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { InvalidOptionsError, JobsModule, JobsService } from 'nestjs-jobs';
import { DataSource } from 'typeorm';

const typeOrm = TypeOrmModule.forRoot({ type: 'better-sqlite3', database: ':memory:' });

const named = (name: string) => TypeOrmModule.forRoot({ name, type: 'better-sqlite3', database: ':memory:' });

/** Returns the error that stops an application with these modules. */
async function readStartError(
  imports: NonNullable<ModuleMetadata['imports']>,
  providers: NonNullable<ModuleMetadata['providers']> = [],
): Promise<Error> {
  class AppModule {}
  const root = { module: AppModule, imports, providers };
  return NestFactory.createApplicationContext(root, { logger: false, abortOnError: false }).then(
    async (app) => {
      await app.close();
      throw new Error('the application has started');
    },
    (error: unknown) => error as Error,
  );
}

describe('JobsModule stops the start without', () => {
  it.each([
    ['a DataSource', [JobsModule.forRoot()], 'import TypeOrmModule.forRoot()'],
    [
      'a DataSource, with options from a factory',
      [JobsModule.forRootAsync({ useFactory: () => ({}) })],
      'import TypeOrmModule.forRoot()',
    ],
    [
      'a DataSource of this name',
      [typeOrm, named('shop'), JobsModule.forRoot({ dataSource: 'shpo' })],
      "no DataSource is named 'shpo', there are 'default' and 'shop';",
    ],
    ['any DataSource', [JobsModule.forRoot({ dataSource: 'shop' })], "no DataSource is named 'shop', there is none;"],
    [
      'a default DataSource',
      [named('orders'), JobsModule.forRoot()],
      "there is no default DataSource, only 'orders'; write JobsModule.forRoot({ dataSource: 'orders' })",
    ],
  ])('%s', async (_, imports, text) => {
    const error = await readStartError(imports);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error).toMatchObject({ option: 'dataSource' });
    expect(error.message).toMatch(/^JobsModule\.forRoot(Async)?: dataSource: /);
    expect(error.message).toContain(text);
  });

  it('a DataSource that it can see', async () => {
    class ShopModule {}
    const shop = { module: ShopModule, providers: [{ provide: DataSource, useValue: {} }] };
    const error = await readStartError([shop, JobsModule.forRoot()]);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/^JobsModule\.forRoot: dataSource: .*ShopModule/);
  });

  it('a reachable database, with the error of the database', async () => {
    const away = TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'better-sqlite3', database: ':memory:', retryAttempts: 0 }) as const,
      dataSourceFactory: () => Promise.reject(new Error('the database is away')),
    });
    expect((await readStartError([away, JobsModule.forRoot()])).message).toBe('the database is away');
  });

  it('forRoot()', async () => {
    const error = await readStartError([typeOrm, JobsModule]);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error.message).toMatch(/^JobsModule: .*call JobsModule\.forRoot\(\)/);
  });

  it('forRoot(), with the error of Nest when a provider needs the service', async () => {
    @Injectable()
    class Client {
      constructor(@Inject(JobsService) readonly jobs: JobsService) {}
    }
    const error = await readStartError([typeOrm, JobsModule], [Client]);
    expect(error.message).toContain('JobsService');
  });

  it('an inject list for a factory with parameters', () => {
    const useFactory = (settings: Settings) => ({ maxRetries: settings.retries });
    for (const inject of [undefined, []]) {
      expect(() => JobsModule.forRootAsync({ inject, useFactory })).toThrow(InvalidOptionsError);
      expect(() => JobsModule.forRootAsync({ inject, useFactory })).toThrow(/^JobsModule.forRootAsync: inject: /);
    }
    expect(() => JobsModule.forRootAsync({ inject: [Settings], useFactory })).not.toThrow();
  });

  it.each([
    [{}, 'useFactory: '],
    [{ useFactory: 'options' }, 'useFactory: '],
    [{ useClass: {} }, 'useClass: '],
    [{ useExisting: null }, 'useExisting: '],
    [{ useFactory: () => ({}), useExisting: 'OPTIONS' }, 'useExisting: '],
    [{ useExisting: 'OPTIONS', inject: ['SETTINGS'] }, 'inject: '],
  ])('exactly one valid source of options in forRootAsync: %p', (given, text) => {
    const build = (): unknown => JobsModule.forRootAsync(given as never);
    expect(build).toThrow(InvalidOptionsError);
    expect(build).toThrow(text);
  });
});

@Injectable()
class Settings {
  readonly retries = 7;
}
