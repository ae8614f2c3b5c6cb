import { Inject, Injectable } from '@nestjs/common';
import { LazyModuleLoader, ModuleRef, ModulesContainer } from '@nestjs/core';

type Module = ModulesContainer extends Map<string, infer M> ? M : never;

/**
 * Tells of modules that are loaded after the application has been put together. Nest calls no lifecycle hook in those and
 * announces them nowhere: the loader itself is the only one to tell. It is listened to from the beginning, since a load
 * may begin before anybody asks, and end after.
 */
@Injectable()
export class LazyModules {
  private tell: ((modules: Module[]) => Promise<void>) | undefined;

  constructor(
    @Inject(LazyModuleLoader) loader: LazyModuleLoader,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {
    const load = loader.load.bind(loader);
    loader.load = async (...request) => {
      const moduleRef = await load(...request);
      // These and no others: what another call is loading meanwhile is half built.
      await this.tell?.(withImports(this.moduleOf(moduleRef)));
      return moduleRef;
    };
  }

  /** Calls back after each load, with the module and its imports; an error of the callback rejects the load. */
  whenLoaded(callback: (modules: Module[]) => Promise<void>): void {
    this.tell = callback;
  }

  /** Whether the application has it: a load that fails takes its modules away. */
  has(module: Module | undefined): boolean {
    return module !== undefined && [...this.modules.values()].includes(module);
  }

  private moduleOf(moduleRef: ModuleRef): Module | undefined {
    return [...this.modules.values()].find(({ providers }) => providers.get(ModuleRef)?.instance === moduleRef);
  }
}

/** A module and all that it imports, directly or through others. */
function withImports(module: Module | undefined): Module[] {
  const found = new Set(module ? [module] : []);
  // A set that grows while it is walked shows its new members, too.
  for (const { imports } of found) {
    imports.forEach((imported) => found.add(imported));
  }
  return [...found];
}
