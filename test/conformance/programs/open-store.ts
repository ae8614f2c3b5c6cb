import { once } from 'node:events';
import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import { createJobStore } from '../../../lib/typeorm/create-job-store.js';

/** Opens a store on the database of the first argument when a line arrives on stdin, as an application does at its start. */
async function main(): Promise<void> {
  const app = await new DataSource(JSON.parse(process.argv[2]!) as DataSourceOptions).initialize();
  const { store } = createJobStore(app);
  process.send!('ready');
  await once(process, 'message');
  await store.open();
  await store.close();
  await app.destroy();
  process.disconnect();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
