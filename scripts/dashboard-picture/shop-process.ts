import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { JobHandler, JobsModule, JobsService } from 'nestjs-jobs';

/*
 * One process of the shop behind the picture of the dashboard. SHOP_DATABASE names its file, SHOP_PORT its port, SHOP_TOKEN the
 * admin token. The process with SHOP_SECONDS also enqueues jobs for so long.
 */

const SECONDS = Number(process.env.SHOP_SECONDS ?? 0);
const TICK_MS = 500;
const TOPICS = ['send_mail', 'charge_card', 'resize_image', 'build_report'];
/** When the payment provider is away, and when reports are paused, as parts of the whole time. */
const OUTAGE = [0.5, 0.65] as const;
const PAUSE = [0.2, 0.4] as const;
const IMPORT = 0.75;
const IMPORTED_ROWS = 1_000;

@Injectable()
class ShopJobs {
  @JobHandler('send_mail')
  async mail({ payload }: { payload: { failsIn: number } }): Promise<void> {
    await sleep(20 + Math.random() * 100);
    if (payload.failsIn === 0) throw new Error('the mail server refused the address');
  }

  @JobHandler('charge_card', { maxRetries: 6 })
  async charge({ payload }: { payload: { untilMs: number } }): Promise<void> {
    await sleep(100 + Math.random() * 300);
    if (Date.now() < payload.untilMs) throw new Error('the payment provider responded 503');
  }

  @JobHandler('resize_image', { limits: { concurrency: 3 } })
  async resize(): Promise<void> {
    await sleep(400 + Math.random() * 1_200);
  }

  @JobHandler('build_report')
  async report(): Promise<void> {
    await sleep(1_000 + Math.random() * 2_000);
  }

  @JobHandler('import_row', { limits: { rate: { limit: 20, per: '1s' } } })
  async row(): Promise<void> {
    await sleep(5 + Math.random() * 15);
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'better-sqlite3', database: process.env.SHOP_DATABASE! }),
    JobsModule.forRoot({
      lease: '5s',
      concurrency: 4,
      backoff: { type: 'fixed', delay: '8s' },
      retention: false,
      http: { adminToken: process.env.SHOP_TOKEN!, metrics: true },
    }),
  ],
  providers: [ShopJobs],
})
class ShopModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(ShopModule, { logger: ['error'] });
  app.enableShutdownHooks();
  await app.listen(Number(process.env.SHOP_PORT), '127.0.0.1');
  if (SECONDS > 0) await enqueueJobs(app.get(JobsService));
}

async function enqueueJobs(jobs: JobsService): Promise<void> {
  const startMs = Date.now();
  let isPaused = false;
  let isImported = false;
  // The series of a topic must exist before it rises.
  await jobs.enqueueMany(repeat(20, () => ({ topic: 'import_row', payload: {} })));
  for (;;) {
    const part = (Date.now() - startMs) / (SECONDS * 1_000);
    if (part >= 1) return;
    const isOutage = part >= OUTAGE[0] && part < OUTAGE[1];
    const untilMs = isOutage ? startMs + OUTAGE[1] * SECONDS * 1_000 : 0;
    const waves = 1 + Math.sin(part * 20) / 2;
    await jobs.enqueueMany([
      ...repeat(waves * 4, () => ({ topic: TOPICS[0]!, payload: { failsIn: Math.floor(Math.random() * 60) } })),
      ...repeat(waves * 2, () => ({ topic: TOPICS[1]!, payload: { untilMs } })),
      ...repeat(waves, () => ({ topic: TOPICS[2]!, payload: {} })),
      ...repeat(0.3, () => ({ topic: TOPICS[3]!, payload: {} })),
    ]);
    const shouldPause = part >= PAUSE[0] && part < PAUSE[1];
    if (shouldPause !== isPaused) {
      isPaused = shouldPause;
      await (isPaused ? jobs.pause(TOPICS[3]!) : jobs.resume(TOPICS[3]!));
    }
    if (part >= IMPORT && !isImported) {
      isImported = true;
      await jobs.enqueueMany(repeat(IMPORTED_ROWS, () => ({ topic: 'import_row', payload: {} })));
    }
    await sleep(TICK_MS);
  }
}

/** `mean` times on average. */
function repeat<T>(mean: number, make: () => T): T[] {
  return Array.from({ length: Math.floor(mean + Math.random()) }, make);
}

void main();
