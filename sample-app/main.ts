/*
 * An order service, to be read in this order: orders.service.ts writes an order and its jobs in one transaction;
 * receipt.jobs.ts, shipping.jobs.ts and payment.jobs.ts run them; carrier.controller.ts is the service that fails at
 * times; job-lines.ts prints what happens.
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
    // Browsers open connections ahead; the server would wait a minute for those on which nothing comes.
    forceCloseConnections: true,
  });
  // Without the hooks SIGTERM would cut running jobs off, and they would wait for their lease to expire.
  app.enableShutdownHooks([], { useProcessExit: true });
  await app.listen(settings.port);
  printIntroduction(settings);
  await app.get(OrdersAtStart).place();
}

main().catch((error: Error) => {
  console.error(`The sample app did not start: ${error.message}`);
  process.exit(1);
});
