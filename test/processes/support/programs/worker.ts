import { createJobStore, JobsEngine } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { EffectSchema } from '../effect.js';
import { Gate } from '../gate.js';
import { TaskHandlers } from '../handlers.js';
import { parentProcess } from '../parent-process.js';

/** Runs one or more engines on one store, without Nest, with the handlers of these tests. */
async function main(): Promise<void> {
  const { database, options = {}, engines = 1, poolSize } = parentProcess.settings;
  const pool = database.type === 'postgres' ? { ...database, poolSize } : database;
  const app = await new DataSource({ ...pool, entities: [EffectSchema] }).initialize();
  const { store } = createJobStore(app, options);
  await store.open();

  const gate = new Gate();
  for (let number = 1; number <= engines; number += 1) {
    const engine = new JobsEngine({ ...options, store });
    engine.events.subscribe((event) => {
      if (event.type !== 'enqueued' && event.type !== 'started' && event.type !== 'completed') {
        parentProcess.report({ kind: 'event', event });
      }
    });
    new TaskHandlers(app, gate, `${process.pid}/${number}`).register(engine);
    await engine.start();
  }
  parentProcess.report({ kind: 'ready' });
}

void main();
