import 'reflect-metadata';
import type { INestApplicationContext } from '@nestjs/common';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler, JobsModule } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { EffectSchema } from './effect.js';
import { Gate } from './gate.js';
import { TaskHandlers } from './handlers.js';
import { parentProcess } from './parent-process.js';
import type { Task } from './protocol.js';

const { database, options, http } = parentProcess.settings;

@Injectable()
class Tasks {
  private readonly handlers: TaskHandlers;

  constructor(app: DataSource) {
    this.handlers = new TaskHandlers(app, new Gate(), `${process.pid}/nest`);
  }

  @JobHandler('plain')
  plain(job: JobContext<Task>): Promise<unknown> {
    return this.handlers.plain(job);
  }

  @JobHandler('complete_tx')
  completeTx(job: JobContext<Task>): Promise<unknown> {
    return this.handlers.completeTx(job);
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({ ...database, entities: [EffectSchema] }),
    // Without an admin token the module would log a warning.
    JobsModule.forRoot({ http: { adminToken: 'secret' }, ...options }),
  ],
  providers: [Tasks],
})
class AppModule {}

/** Creates and starts a Nest application with the handlers of these tests, with an HTTP server or without. */
export async function startNestApp(): Promise<INestApplicationContext> {
  const logger: ['warn', 'error'] = ['warn', 'error'];
  if (!http) {
    const context = await NestFactory.createApplicationContext(AppModule, { logger });
    return context.enableShutdownHooks();
  }
  const app = await NestFactory.create(AppModule, { logger });
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  return app;
}
