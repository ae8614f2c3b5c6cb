import { Module } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { JobsModule } from 'nestjs-jobs';
import { fromDrizzle } from 'nestjs-jobs/orm';
import { Database, DatabaseModule } from './database.module.js';
import { OrdersController } from './orders.controller.js';
import { ShippingJobs } from './shipping.jobs.js';

@Module({
  imports: [
    DatabaseModule,
    JobsModule.forRootAsync({
      imports: [DatabaseModule],
      inject: [Database],
      useFactory: ({ db }: Database) => ({
        database: process.env.DATABASE_URL!,
        concurrency: 10,
        transactions: (work) => db.transaction((tx) => work(fromDrizzle(tx, sql))),
      }),
    }),
  ],
  controllers: [OrdersController],
  providers: [ShippingJobs],
})
export class AppModule {}
