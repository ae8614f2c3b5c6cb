import { createJobStore, JobsEngine } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { parentProcess } from '../parent-process.js';

/** Stores a job as a script would, and closes nothing of the queue. */
async function main(): Promise<void> {
  const app = await new DataSource(parentProcess.settings.database).initialize();
  const { store } = createJobStore(app);
  await store.open();
  const engine = new JobsEngine({ store, role: 'producer' });
  await engine.enqueue('plain', {});
  // Only the connections of the queue are left open.
  await app.destroy();
  parentProcess.report({ kind: 'ready' });
}

void main();
