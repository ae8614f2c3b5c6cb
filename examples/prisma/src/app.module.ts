import { Module } from '@nestjs/common';
import { JobsModule } from 'nestjs-jobs';
import { fromPrisma } from 'nestjs-jobs/orm';
import { OrdersController } from './orders.controller.js';
import { PrismaModule, PrismaService } from './prisma.module.js';
import { ShippingJobs } from './shipping.jobs.js';

@Module({
  imports: [
    PrismaModule,
    JobsModule.forRootAsync({
      imports: [PrismaModule],
      inject: [PrismaService],
      useFactory: (prisma: PrismaService) => ({
        database: process.env.DATABASE_URL!,
        concurrency: 10,
        // Prisma ends a transaction after 5 s, unless `timeout` says otherwise.
        transactions: (work) => prisma.$transaction((tx) => work(fromPrisma(tx)), { timeout: 60_000 }),
      }),
    }),
  ],
  controllers: [OrdersController],
  providers: [ShippingJobs],
})
export class AppModule {}
