/*
 * A shop. Read in this order: orders.service.ts writes an order and its jobs in one transaction, and stores the jobs of a payment, which
 * wait for each other; receipt.jobs.ts, payment.jobs.ts, shipping.jobs.ts and invoice.jobs.ts handle the jobs; digest.jobs.ts runs
 * every minute; carrier.controller.ts simulates a service that sometimes fails; job-lines.ts prints the events.
 */
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { printIntroduction } from './introduction.js';
import { OrdersAtStart } from './orders-at-start.js';
import { ensureFreePort } from './port.js';
import { settings } from './settings.js';

async function main(): Promise<void> {
  await ensureFreePort(settings.port);
  const app = await NestFactory.create(AppModule, {
    logger: ['warn', 'error'],
    abortOnError: false,
    // Browsers open spare connections. Without this option the server waits a minute for them at shutdown.
    forceCloseConnections: true,
  });
  // Without the hooks SIGTERM kills running jobs, and they wait until their leases expire.
  app.enableShutdownHooks([], { useProcessExit: true });
  await app.listen(settings.port);
  printIntroduction(settings);
  await app.get(OrdersAtStart).place();
}

main().catch((error: Error) => {
  console.error(`The sample app did not start: ${error.message}`);
  process.exit(1);
});
