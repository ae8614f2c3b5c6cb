import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import type { JobsModuleOptions } from 'nestjs-jobs';
import { JobsModule, JobsService } from 'nestjs-jobs';
import { JobsTesting, JobsTestingModule } from 'nestjs-jobs/testing';

/** Tests an application with the options in the first argument, and prints what has run. */
async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2]!) as JobsModuleOptions;
  const module = await Test.createTestingModule({ imports: [JobsModule.forRoot(options)] })
    .overrideModule(JobsModule)
    .useModule(JobsTestingModule.forRoot())
    .compile();
  const jobs = module.get(JobsService, { strict: false });
  const testing = module.get(JobsTesting, { strict: false });
  jobs.register('greet', ({ payload }) => `Hello, ${String(payload)}!`);
  await module.init();

  await jobs.enqueue('greet', 'Ada');
  await jobs.enqueue('greet', 'Grace', { delay: '1h' });
  const early = await testing.runPending();
  await testing.advance('1h');
  const late = await testing.runPending();
  await module.close();
  console.log(JSON.stringify([early, late].map((ran) => ran.map(({ result }) => result))));
}

main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exitCode = 1;
});
