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
import { clearTimeout, setTimeout } from '../store/real-timers.js';
import { JobsExplorer } from './jobs.explorer.js';
import { JOBS_STORE } from './jobs.tokens.js';
import { moduleLogger } from './nest-logger.js';

/**
 * How long after the start of the queue an application has its shutdown hooks, if it is to have any. Without HTTP it can enable
 * them only when all of its providers have started, some of which may wait for something.
 */
const HOOKS_LATEST_MS = { withHttp: 0, withoutHttp: 250 } as const;

/**
 * Ties the engine to the application's life: handlers are found when all providers exist, claiming starts with the
 * application, stops first when it ends, and the connections close last.
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
    try {
      this.explorer.explore();
    } catch (error) {
      // Nest calls no shutdown hooks for an application that did not start: nothing of ours may keep it alive.
      await this.store.close();
      throw error;
    }
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.engine.start();
    if (this.engine.settings.role !== 'producer') {
      const latestMs = this.host.httpAdapter ? HOOKS_LATEST_MS.withHttp : HOOKS_LATEST_MS.withoutHttp;
      this.check = setTimeout(() => this.warnWithoutShutdownHooks(), latestMs).unref();
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

  private warnWithoutShutdownHooks(): void {
    if (process.listenerCount('SIGTERM') === 0) {
      moduleLogger.warn(
        'SIGTERM has no listener: call app.enableShutdownHooks(), or running jobs are cut off and wait for their lease to expire',
      );
    }
  }
}
