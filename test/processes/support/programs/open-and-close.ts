import { JobsService } from 'nestjs-jobs';
import { filter, firstValueFrom } from 'rxjs';
import { startNestApp } from '../nest-app.js';
import { parentProcess } from '../parent-process.js';

/** Opens the application, runs a job and closes it. */
async function main(): Promise<void> {
  const app = await startNestApp();
  const jobs = app.get(JobsService);
  const completed = firstValueFrom(jobs.events.pipe(filter(({ type }) => type === 'completed')));
  await jobs.enqueue('plain', {});
  await completed;
  parentProcess.report({ kind: 'ready' });
  await app.close();
  parentProcess.report({ kind: 'closed' });
}

void main();
