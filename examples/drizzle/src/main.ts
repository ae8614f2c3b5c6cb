import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule);
// Without the hooks SIGTERM kills running jobs, and they wait until their leases expire.
app.enableShutdownHooks();
await app.listen(process.env.PORT ?? 3000);
