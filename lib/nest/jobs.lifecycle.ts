import type {
  BeforeApplicationShutdown,
  OnApplicationBootstrap,
  OnApplicationShutdown,
  OnModuleDestroy,
  OnModuleInit,
} from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { JobStore } from '../store/job-store.js';
import { clearTimeout, setTimeout } from '../store/runtime/real-timers.js';
import { JobsExplorer } from './jobs.explorer.js';
import { NO_SHUTDOWN_HOOKS } from './jobs.messages.js';
import { moduleLogger } from './nest-logger.js';

/** Token of the open store. */
export const JOBS_STORE = Symbol('nestjs-jobs:store');

/**
 * Delay of the check for shutdown hooks, from the start of the queue. An application context without HTTP calls
 * `enableShutdownHooks()` only after bootstrap.
 */
const HOOKS_CHECK_DELAY_MS = { withHttp: 0, withoutHttp: 250 } as const;

/**
 * Runs the engine with the application. `onModuleInit` finds the handlers, and `onApplicationBootstrap` starts claiming. At
 * shutdown the queue stops claiming first, then waits for running handlers, and closes its connections last.
 */
@Injectable()
export class JobsLifecycle
  implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown, OnApplicationShutdown
{
  private check: NodeJS.Timeout | undefined;

  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(JobsExplorer) private readonly explorer: JobsExplorer,
    @Inject(JOBS_STORE) private readonly store: JobStore,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {}

  async onModuleInit(): Promise<void> {
    await this.closeIfRejected(async () => this.explorer.explore());
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.closeIfRejected(() => this.engine.start());
    if (this.engine.settings.role !== 'producer') {
      const delayMs = this.host.httpAdapter ? HOOKS_CHECK_DELAY_MS.withHttp : HOOKS_CHECK_DELAY_MS.withoutHttp;
      this.check = setTimeout(() => this.warnWithoutShutdownHooks(), delayMs).unref();
    }
  }

  onModuleDestroy(): void {
    clearTimeout(this.check);
    this.engine.stopClaiming();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.engine.close();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.store.close();
  }

  /** Nest calls no shutdown hooks for an application that did not start. An open connection would keep it alive. */
  private async closeIfRejected(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.store.close();
      throw error;
    }
  }

  private warnWithoutShutdownHooks(): void {
    if (process.listenerCount('SIGTERM') === 0) {
      moduleLogger.warn(NO_SHUTDOWN_HOOKS);
    }
  }
}
