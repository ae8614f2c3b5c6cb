import type { AbstractHttpAdapter } from '@nestjs/core';
import type { INestApplication } from '@nestjs/common';
import { Body, Controller, Module, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { DataSourceOptions } from 'typeorm';
import { JobsModule, JobsService } from '../../lib/index.js';

export const TOKEN = 'a-token-for-figures';

/** A route that does nothing, to compare with. */
@Controller('bare')
class BareController {
  @Post()
  take(@Body() body: { topic: string }): object {
    return { id: 1, topic: body.topic, status: 'pending' };
  }
}

/** An application with workers that run what comes, and a bare route beside the API. */
export async function openShop(database: DataSourceOptions, adapter: AbstractHttpAdapter): Promise<INestApplication> {
  @Module({
    imports: [TypeOrmModule.forRoot({ ...database }), JobsModule.forRoot({ http: { adminToken: TOKEN } })],
    controllers: [BareController],
  })
  class Shop {}

  const app = await NestFactory.create(Shop, adapter, { logger: ['warn', 'error'] });
  app.enableShutdownHooks();
  app.get(JobsService).register('send_receipt', (job) => ({ sent: job.id }));
  await app.listen(0, '127.0.0.1');
  return app;
}
