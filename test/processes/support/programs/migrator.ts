import { createJobStore } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { parentProcess } from '../parent-process.js';
import type { DatabaseAddress } from '../protocol.js';

/** Opens the queue on a database, as an application does at its start. */
async function open(database: DatabaseAddress): Promise<void> {
  const app = await new DataSource(database).initialize();
  const { store } = createJobStore(app);
  await store.open();
  await store.reports.counts(null);
  await store.close();
  await app.destroy();
}

parentProcess.onCommand((command) => {
  if (typeof command === 'object') {
    open(command.migrate).then(
      () => parentProcess.report({ kind: 'migrated', error: null }),
      (error: Error) => parentProcess.report({ kind: 'migrated', error: error.stack ?? String(error) }),
    );
  }
});
process.channel?.ref();
parentProcess.report({ kind: 'ready' });
