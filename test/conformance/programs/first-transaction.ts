import { setTimeout as pause } from 'node:timers/promises';
import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import { createJobStore } from '../../../lib/typeorm/create-job-store.js';

/** Begins the first transaction of the process and rolls it back. Reports whether one that was started beside it is stored. */
async function main(): Promise<void> {
  const app = await new DataSource(JSON.parse(process.argv[2]!) as DataSourceOptions).initialize();
  await app.query('CREATE TABLE notes (note text)');
  const { store } = createJobStore(app, {});
  await store.open();
  const gate = pause(100);
  const first = app
    .transaction(async (manager) => {
      await manager.query("INSERT INTO notes VALUES ('first')");
      await gate;
      throw new Error('refused');
    })
    .catch(() => undefined);
  await pause(1);
  await app.transaction((manager) => manager.query("INSERT INTO notes VALUES ('second')"));
  await first;
  process.send!(await app.query('SELECT note FROM notes'));
  await store.close();
  await app.destroy();
  process.disconnect();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
