import type { ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import { JOBS_OPTIONS } from './jobs.tokens.js';

/**
 * Two queues would claim the same rows with two sets of handlers and limits, and which `JobsService` is injected where
 * would depend on the order of imports.
 *
 * @throws InvalidOptionsError when the module was made more than once for this application.
 */
export function assertSingleModule(modules: ModulesContainer): void {
  const queues = queuesOf(modules);
  if (queues.length > 1) {
    throw new InvalidOptionsError(
      'JobsModule',
      `made ${queues.length} times for one application${importersOf(queues[0]!.metatype, modules)}; expected one ` +
        'forRoot() or forRootAsync(), in the root module. Other modules inject JobsService without importing it; with ' +
        'isGlobal: false, import the module that exports it',
    );
  }
}

/**
 * `imports: [JobsModule]` alone is a module without providers: no handler would be found, and nobody would say so.
 *
 * @throws InvalidOptionsError when the application has imported the class, and made no queue.
 */
export function assertConfigured(modules: ModulesContainer): void {
  if (queuesOf(modules).length === 0) {
    throw new InvalidOptionsError(
      'JobsModule',
      'imported as it is; expected JobsModule.forRoot() or JobsModule.forRootAsync(), in the root module',
    );
  }
}

function queuesOf(modules: ModulesContainer) {
  return [...modules.values()].filter(({ providers }) => providers.has(JOBS_OPTIONS));
}

/** Modules that make a queue in their own `@Module({ imports })`. */
function importersOf(queue: unknown, modules: ModulesContainer): string {
  const names = [...modules.values()]
    .map(({ metatype }) => metatype)
    .filter((metatype) => {
      const imports = (Reflect.getMetadata('imports', metatype) as { module?: unknown }[] | undefined) ?? [];
      return imports.some((imported) => imported?.module === queue);
    })
    .map(({ name }) => name);
  return names.length > 0 ? `, by ${[...new Set(names)].join(' and ')}` : '';
}
