import { createJobStore, JobsEngine } from 'nestjs-jobs';
import type { JobContext } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { EffectSchema } from '../effect.js';
import { Gate } from '../gate.js';
import { TaskHandlers } from '../handlers.js';
import { parentProcess } from '../parent-process.js';
import type { Task } from '../protocol.js';

/** Runs one version of an application with its handlers, until SIGTERM. */
async function main(): Promise<void> {
  const { database, options = {}, version } = parentProcess.settings;
  const app = await new DataSource({ ...database, entities: [EffectSchema] }).initialize();
  const { store } = createJobStore(app, options);
  await store.open();
  const engine = new JobsEngine({ ...options, store });
  const handlers = new TaskHandlers(app, new Gate(), version!.name);
  for (const topic of version!.topics) {
    engine.register(topic, (job) => handlers.plain(job as JobContext<Task>));
  }
  engine.events.subscribe((event) => parentProcess.report({ kind: 'event', event }));
  process.once('SIGTERM', () => {
    parentProcess.report({ kind: 'draining' });
    void engine
      .stop()
      .then(() => store.close())
      .then(() => app.destroy())
      .then(() => process.exit(0));
  });
  await engine.start();
  parentProcess.report({ kind: 'ready' });
}

void main();
