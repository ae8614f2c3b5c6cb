import type { InjectionToken } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import { nextTurn } from '../store/runtime/real-timers.js';
import { JOBS_OPTIONS } from './async-options.js';
import { hiddenDataSource, missingDataSource, NOT_CONFIGURED, secondModule } from './jobs.messages.js';

/**
 * Checks that the application imports the module only once. Two modules would claim the same rows with two sets of handlers, and
 * the order of imports would decide which `JobsService` is injected.
 *
 * @throws InvalidOptionsError for a second import.
 */
export function assertSingleModule(modules: ModulesContainer): void {
  const configured = findConfigured(modules);
  if (configured.length > 1) {
    const importers = findImporters(configured[0]!.metatype, modules);
    throw new InvalidOptionsError('JobsModule', secondModule(configured.length, importers));
  }
}

/**
 * Checks that the application calls `forRoot()` or `forRootAsync()`. The class alone, `imports: [JobsModule]`, has no providers, and
 * no handler would be found.
 *
 * @throws InvalidOptionsError when the application imports only the class.
 */
export function assertConfigured(modules: ModulesContainer): void {
  if (findConfigured(modules).length === 0) {
    throw new InvalidOptionsError('JobsModule', NOT_CONFIGURED);
  }
}

/**
 * Explains why no DataSource was injected. Nest's own error would name internal symbols.
 *
 * @param token under which Nest provides it.
 * @param name the name of the DataSource; `undefined` for the default one.
 * @throws InvalidOptionsError always.
 */
export async function throwMissingDataSource(
  modules: ModulesContainer,
  token: InjectionToken,
  name: string | undefined,
): Promise<never> {
  const provider = [...modules.values()].find(({ providers }) => providers.has(token));
  if (provider) {
    // In Nest 11 a failed connection also looks like this. Wait one turn of the event loop, so that its own error is reported first.
    await nextTurn();
    throw new InvalidOptionsError('dataSource', hiddenDataSource(provider.name));
  }
  throw new InvalidOptionsError('dataSource', missingDataSource(name, findDataSources(modules)));
}

/** Whether the application has a DataSource of any name. */
export function hasDataSource(modules: ModulesContainer): boolean {
  return findDataSources(modules).length > 0;
}

/** Names of the DataSources of `TypeOrmModule.forRoot()`. */
function findDataSources(modules: ModulesContainer): string[] {
  const cores = [...modules.values()].filter(({ name }) => name === 'TypeOrmCoreModule');
  const tokens = cores.flatMap(({ providers }) => [...providers.keys()]);
  return [...new Set(tokens)].flatMap((token) => {
    const named = typeof token === 'string' ? /^(.+)DataSource$/.exec(token) : null;
    return named ? [named[1]!] : typeof token === 'function' && token.name === 'DataSource' ? ['default'] : [];
  });
}

/** The call that configured the module, for the message of an error about its options. */
export type ModuleCall = 'JobsModule.forRoot' | 'JobsModule.forRootAsync';

/** Token of the {@link ModuleCall}. */
export const MODULE_CALL = Symbol('nestjs-jobs:module-call');

function findConfigured(modules: ModulesContainer) {
  return [...modules.values()].filter(({ providers }) => providers.has(JOBS_OPTIONS));
}

/** Names of the modules that import `target` in their own `@Module({ imports })`. */
function findImporters(target: unknown, modules: ModulesContainer): string[] {
  const names = [...modules.values()]
    .map(({ metatype }) => metatype)
    .filter((metatype) => {
      const imports = (Reflect.getMetadata('imports', metatype) as { module?: unknown }[] | undefined) ?? [];
      return imports.some((imported) => imported?.module === target);
    })
    .map(({ name }) => name);
  return [...new Set(names)];
}
