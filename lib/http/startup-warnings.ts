import type { OnApplicationBootstrap } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import type { NestContainer } from '@nestjs/core';
import { ExternalContextCreator } from '@nestjs/core';
import type { HttpSettings } from '../core/http-options.js';
import { moduleLogger } from '../nest/nest-logger.js';
import { CallerResolver, TOKEN_VARIABLE, HTTP_SETTINGS } from './caller-resolver.js';
import { needsCaller } from './access-policy.js';
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
    const uiPath = this.routes.findPath('ui');
    const closed = this.closedRules();
    if (this.callers.authMode === 'none' && closed.length > 0) {
      moduleLogger.warn(messages.noAdministrator(closed, uiPath !== undefined, TOKEN_VARIABLE));
    }
    if (this.callers.authMode === 'application' && process.env[TOKEN_VARIABLE]) {
      moduleLogger.warn(messages.unusedToken(TOKEN_VARIABLE));
    }
    const guards = this.globalGuards();
    if (guards.length > 0 && this.settings.decorators.length === 0) {
      moduleLogger.log(messages.globalGuards(guards, [path, ...(uiPath === undefined ? [] : [uiPath])]));
    }
  }

  /** Returns the rules that admit no request unless callers are identified, or `'all'`. */
  private closedRules(): 'all' | string[] {
    const { enqueueRule, readRule, manageRule } = this.settings;
    // Those who manage may read.
    const isReadable = !needsCaller(readRule) || !needsCaller(manageRule);
    const closed = [
      ...(needsCaller(enqueueRule) ? ['http.enqueueRule'] : []),
      ...(isReadable ? [] : ['http.readRule']),
      ...(needsCaller(manageRule) ? ['http.manageRule'] : []),
    ];
    return closed.length === 3 ? 'all' : closed;
  }

  /** Returns the class names of the guards of `useGlobalGuards()` and `APP_GUARD`. */
  private globalGuards(): string[] {
    const config = this.container.applicationConfig!;
    const shared = config.getGlobalGuards().map((guard) => (guard as object).constructor.name);
    const scoped = config.getGlobalRequestGuards().map(({ name }) => String(name));
    return [...new Set([...shared, ...scoped])];
  }
}
