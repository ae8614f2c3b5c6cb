import type { OnModuleInit } from '@nestjs/common';
import { Inject, Injectable } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { JobsEngine } from '../engine/jobs-engine.js';
import { NO_EVENT_EMITTER } from './jobs.messages.js';
import { moduleLogger } from './nest-logger.js';

interface EventEmitter {
  emit(name: string, event: object): unknown;
}

/** Forwards the events of the queue to `@nestjs/event-emitter`, with the option `events.bridge`, until the engine closes. */
@Injectable()
export class EventBridge implements OnModuleInit {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {}

  onModuleInit(): void {
    const { bridge } = this.engine.settings.events;
    if (bridge === undefined) {
      return;
    }
    const emitter = this.findEmitter();
    if (emitter) {
      this.engine.events.subscribe((event) => void emitter.emit(`${bridge}${event.type}`, event));
    } else {
      moduleLogger.warn(NO_EVENT_EMITTER);
    }
  }

  /** Finds the provider by its class. That class is not imported, because its package is optional. */
  private findEmitter(): EventEmitter | undefined {
    const providers = [...this.modules.values()].flatMap((module) => [...module.providers]);
    const found = providers.find(([token]) => typeof token === 'function' && isEmitterClass(token.prototype));
    return found?.[1].instance as EventEmitter | undefined;
  }
}

/** Node's own emitters have no `emitAsync`. */
function isEmitterClass(prototype: unknown): boolean {
  return typeof (prototype as { emitAsync?: unknown } | undefined)?.emitAsync === 'function';
}
