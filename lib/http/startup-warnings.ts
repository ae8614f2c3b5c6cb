import type { OnApplicationBootstrap } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import type { NestContainer } from '@nestjs/core';
import { ExternalContextCreator } from '@nestjs/core';
import type { HttpSettings } from '../core/http-options.js';
import { moduleLogger } from '../nest/nest-logger.js';
import { CallerResolver, TOKEN_VARIABLE, HTTP_SETTINGS } from './caller-resolver.js';
import { RegisteredRoutes } from './http-adapter.js';
import * as messages from './http.messages.js';

/** Warns at start of a closed API, an unused token, and global guards that run before the access rules. */
@Injectable()
export class StartupWarnings implements OnApplicationBootstrap {
  private readonly container: NestContainer;

  constructor(
    @Inject(RegisteredRoutes) private readonly routes: RegisteredRoutes,
    @Inject(CallerResolver) private readonly callers: CallerResolver,
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(ExternalContextCreator) creator: ExternalContextCreator,
  ) {
    this.container = (creator as unknown as { container: NestContainer }).container;
  }

  onApplicationBootstrap(): void {
    const path = this.routes.findPath('api');
    if (path === undefined) {
      return;
    }
    if (this.callers.authMode === 'none') {
      moduleLogger.warn(messages.closedApi(path, TOKEN_VARIABLE));
    }
    if (this.callers.authMode === 'application' && process.env[TOKEN_VARIABLE]) {
      moduleLogger.warn(messages.unusedToken(path, TOKEN_VARIABLE));
    }
    const guards = this.globalGuards();
    if (guards.length > 0 && this.settings.decorators.length === 0) {
      const paths = [path, this.routes.findPath('ui')].filter((each) => each !== undefined);
      moduleLogger.log(messages.globalGuards(paths.join(' and '), guards));
    }
  }

  /** Returns the class names of the guards of `useGlobalGuards()` and `APP_GUARD`. */
  private globalGuards(): string[] {
    const config = this.container.applicationConfig!;
    const shared = config.getGlobalGuards().map((guard) => (guard as object).constructor.name);
    const scoped = config.getGlobalRequestGuards().map(({ name }) => String(name));
    return [...new Set([...shared, ...scoped])];
  }
}
