import 'reflect-metadata';
import { Injectable, Module, SetMetadata, UseGuards } from '@nestjs/common';
import type { CanActivate, ExecutionContext, INestApplication, LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import { CurrentJob, defineJob, JobHandler, JobsModule, JobsService, Payload } from 'nestjs-jobs';
import type { JobContext } from 'nestjs-jobs';
import { JobsClient } from 'nestjs-jobs/client';
import { Column, DataSource, Entity, PrimaryColumn } from 'typeorm';

interface GreetingOrder {
  name: string;
}

const Greet = defineJob<GreetingOrder>('greet');

@Entity('greetings')
class Greeting {
  @PrimaryColumn('text')
  jobId!: string;

  @Column('text')
  text!: string;
}

@Injectable()
class GreetingJobs {
  constructor(private readonly app: DataSource) {}

  @JobHandler(Greet)
  async greet(@Payload('name') name: string, @CurrentJob() job: JobContext<GreetingOrder>): Promise<void> {
    await this.app.transaction(async (manager) => {
      await manager.insert(Greeting, { jobId: job.id, text: `Hello, ${name}!` });
      await job.completeTx(manager, { length: name.length });
    });
  }

  @JobHandler('stumble', { backoff: { type: 'fixed', delay: 0 } })
  stumble(job: JobContext): string {
    if (job.attempt === 1) {
      throw new Error('stumbled');
    }
    return 'got up';
  }

  @UseGuards({ canActivate: () => false })
  @JobHandler('refuse')
  refuse(): void {}
}

function database(): TypeOrmModuleOptions {
  const url = process.env.DATABASE_URL;
  return {
    ...(url ? { type: 'postgres', url } : { type: 'better-sqlite3', database: 'app.sqlite' }),
    entities: [Greeting],
    synchronize: true,
  };
}

/** An unset variable may be passed on. */
const unset = process.env.NOT_SET;
const token = 'a-token';

@Module({
  imports: [
    TypeOrmModule.forRoot(database()),
    JobsModule.forRoot({
      dataSource: unset,
      http: { adminToken: token, path: unset, decorators: [SetMetadata('isPublic', true)] },
      ui: { path: unset },
    }),
  ],
  providers: [GreetingJobs],
})
class AppModule {}

/** Allows requests to public controllers only. */
const wall: CanActivate = {
  canActivate: (context: ExecutionContext) => Reflect.getMetadata('isPublic', context.getClass()) === true,
};

const debugLines: string[] = [];
/** A custom logger without log levels. */
const logger: LoggerService = {
  log: () => undefined,
  warn: (...words) => console.error(...words),
  error: (...words) => console.error(...words),
  debug: (line) => debugLines.push(String(line)),
};

function create(): Promise<INestApplication> {
  return process.env.ADAPTER === 'fastify'
    ? NestFactory.create(AppModule, new FastifyAdapter(), { logger })
    : NestFactory.create(AppModule, { logger });
}

/** A user's application: it enqueues a job in a transaction and two failing jobs, prints their outcomes, and exits. */
async function main(): Promise<void> {
  const app = await create();
  app.setGlobalPrefix('shop').useGlobalGuards(wall).enableShutdownHooks();
  await app.listen(0, '127.0.0.1');

  const jobs = app.get(JobsService);
  const dataSource = app.get(DataSource);
  const { id } = await dataSource.transaction((manager) => jobs.enqueueTx(manager, Greet, { name: 'Ada' }));
  const stumbling = await jobs.enqueue('stumble', null);
  const refused = await jobs.enqueue('refuse', null);
  await jobs.whenIdle();
  const job = await jobs.get(id);
  const others = await Promise.all([stumbling, refused].map((other) => jobs.get(other.id)));
  const { text } = await dataSource.getRepository(Greeting).findOneByOrFail({ jobId: id });
  const client = new JobsClient({ baseUrl: `${await app.getUrl()}/shop`, token });
  const { topic } = await client.get(id);
  const { payload } = await client.enqueue('later', { large: 'x'.repeat(1_000_000) }, { delay: '1h' });
  const isLogged = debugLines.some((line) => line.startsWith(`completed greet ${id} `));
  const overHttp = { topic, bytes: payload.large.length };
  const endings = others.map((other) => `${other?.topic}: ${other?.status} in attempt ${other?.attempt}`);
  console.log(JSON.stringify({ status: job?.status, result: job?.result, text, overHttp, endings, isLogged }));
  await app.close();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
