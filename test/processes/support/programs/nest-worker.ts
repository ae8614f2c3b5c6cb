import { JobsService } from 'nestjs-jobs';
import { startNestApp } from '../nest-app.js';
import { parentProcess } from '../parent-process.js';

/** Runs a Nest worker until SIGTERM. */
async function main(): Promise<void> {
  const app = await startNestApp();
  app.get(JobsService).events.subscribe((event) => parentProcess.report({ kind: 'event', event }));
  process.once('SIGTERM', () => parentProcess.report({ kind: 'draining' }));
  parentProcess.report({ kind: 'ready' });
}

void main();
