import { Injectable, Module, type OnApplicationShutdown } from '@nestjs/common';
import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from './generated/prisma/client.js';

@Injectable()
export class PrismaService extends PrismaClient implements OnApplicationShutdown {
  constructor() {
    // Each transactional handler holds a connection, and requests need some too: more than `concurrency` in app.module.ts.
    super({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL!, max: 15 }) });
  }

  // Not in onModuleDestroy: handlers that still run finish before this hook, and need the client until then.
  async onApplicationShutdown(): Promise<void> {
    await this.$disconnect();
  }
}

@Module({ providers: [PrismaService], exports: [PrismaService] })
export class PrismaModule {}
