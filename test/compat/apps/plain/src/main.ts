import 'reflect-metadata';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { defineJob, JobHandler, JobsModule, JobsService } from 'nestjs-jobs';
import type { JobContext } from 'nestjs-jobs';
import { JobsClient } from 'nestjs-jobs/client';

const Greet = defineJob<{ name: string }>('greet');

@Injectable()
class GreetingJobs {
  @JobHandler(Greet)
  greet(job: JobContext<{ name: string }>): { text: string } {
    return { text: `Hello, ${job.payload.name}!` };
  }
}

@Module({
  imports: [
    JobsModule.forRoot({
      database: process.env.DATABASE_URL!,
      migrate: true,
      http: { adminToken: 'a-token' },
    }),
  ],
  providers: [GreetingJobs],
})
class AppModule {}

/** A user's application without TypeORM: it enqueues a job, prints its outcome, and exits. */
async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error'], abortOnError: false });
  await app.listen(0, '127.0.0.1');
  const jobs = app.get(JobsService);
  const { id } = await jobs.enqueue(Greet, { name: 'Ada' });
  await jobs.whenIdle();
  const client = new JobsClient({ baseUrl: await app.getUrl(), token: 'a-token' });
  const { status, result } = await client.get(id);
  console.log(JSON.stringify({ status, result }));
  await app.close();
}

main().catch((error: unknown) => {
  console.error(String(error));
  process.exit(1);
});
