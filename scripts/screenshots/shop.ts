import { resolve } from 'node:path';
import Database from 'better-sqlite3';
import { JobsClient } from '../../client/index.js';
import { VERSION } from '../../lib/core/version.js';
import { SCHEMA_VERSION } from '../../lib/store/migrate/migrator.js';
import { until } from '../../test/support/wait.js';

const ITEMS = ['green tea', 'coffee beans', 'two cups', 'honey', 'oat biscuits'];
const ORDERS = 48;
const ROOT = resolve(__dirname, '../..');

/** Places orders, some of which fail, leaves some waiting, and spreads all that over the last hour. */
export async function fillShop(url: string, token: string, databasePath: string): Promise<void> {
  const jobs = new JobsClient({ baseUrl: url, token });
  for (let number = 1; number <= ORDERS; number += 1) {
    const order = {
      email: `customer${number}@example.org`,
      item: ITEMS[number % ITEMS.length],
      // A few are too expensive for the carrier.
      amount: number % 12 === 5 ? 240_000 : 450 + number * 10,
    };
    const response = await fetch(`${url}/orders`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(order),
    });
    const { id } = (await response.json()) as { id: number };
    await fetch(`${url}/orders/${id}/payment`, { method: 'POST' });
  }
  // Of an order that was never placed.
  await jobs.enqueueMany(
    Array.from({ length: 7 }, () => ({ topic: 'send_receipt', payload: { orderId: 900 }, maxRetries: 0 })),
  );
  await jobs.enqueueMany(
    [64, 256, 1024].map((width) => ({
      topic: 'resize_image',
      payload: { image: `products/honey-${width}.png`, width, format: { type: 'webp', quality: 0.8 } },
      metadata: { requestedBy: 'catalogue' },
    })),
  );
  await until(async () => (await jobs.stats({ topic: ['send_receipt', 'ship_order'] })).pending <= 6, {
    timeoutMs: 120_000,
    message: 'most jobs of the shop',
  });
  await fillSchedules(jobs);
  const { items } = await jobs.list({ topic: 'remind_payment', status: 'pending', limit: 2 });
  for (const { id } of items) await jobs.cancel(id);
  spread(databasePath);
}

async function fillSchedules({ schedules }: JobsClient): Promise<void> {
  const topic = 'send_receipt';
  await schedules.upsert('invoices', '0 7 1 * *', {
    topic,
    tz: 'Europe/Berlin',
    missed: 'all',
    payload: { orderId: 7 },
  });
  await schedules.upsert('newsletter', '30 9 * * 2', { topic, tz: 'America/New_York', payload: { orderId: 7 } });
  await schedules.upsert('stock', { every: '15m' }, { topic: 'resize_image', overlap: 'skip' });
  await schedules.pause('newsletter');
}

/** What happened within seconds, as if it had taken an hour: pictures of one minute would show one column. */
function spread(databasePath: string): void {
  const database = new Database(databasePath);
  database.pragma('busy_timeout = 5000');
  const stamp = "strftime('%Y-%m-%d %H:%M:00.000', 'now', '-' || m || ' minutes')";
  database.exec(`
    INSERT OR IGNORE INTO _jobs_rollup (minute, topic, worker, completed, failed, attempts_failed, started, run_ms, wait_ms, run_histogram)
    WITH RECURSIVE ms(m) AS (SELECT 1 UNION ALL SELECT m + 1 FROM ms WHERE m < 1439)
    SELECT ${stamp}, topic, 'pictures', c, f, 3 * f, c + 3 * f, c * (90 + abs(m * 37 % 60)), (c + f) * (14 + abs(m * 17 % 23)),
      '{"' || (44 + m / 7 % 3) || '":' || c || '}'
    FROM (SELECT m, '' AS topic, 50 + 2 * abs((m * 7 % 40) - 20) + m % 5 AS c, (m % 17 = 3) * 3 AS f FROM ms)`);
  const worker = database.prepare(`
    INSERT INTO _jobs_workers (worker, topics, details, seen) VALUES (?, ?, ?, strftime('%Y-%m-%d %H:%M:%f', 'now'))`);
  const details = { version: VERSION, schemaVersion: SCHEMA_VERSION, isNotified: true };
  const topics = JSON.stringify(['resize_image', 'ship_order']);
  worker.run(
    'worker-1:31:0b9d24c7',
    topics,
    JSON.stringify({ ...details, host: 'worker-1', pid: 31, running: 18, concurrency: 20, isDraining: false }),
  );
  worker.run(
    'worker-2:30:e1f07a55',
    topics,
    JSON.stringify({ ...details, host: 'worker-2', pid: 30, running: 2, concurrency: 20, isDraining: true }),
  );
  // Nor is the folder of the user who runs this script of interest.
  database.prepare("UPDATE _jobs SET errors = replace(errors, ?, '/srv/shop')").run(ROOT);
  database.close();
}
