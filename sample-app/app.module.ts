import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { JobsModule } from 'nestjs-jobs';
import { CarrierController } from './carrier.controller.js';
import { database } from './database.js';
import { FirstOrders } from './first-orders.js';
import { JobLines } from './job-lines.js';
import { Order } from './order.entity.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import { Outbox } from './outbox.js';
import { PaymentJobs } from './payment.jobs.js';
import { ReceiptJobs } from './receipt.jobs.js';
import { settings } from './settings.js';
import { ShippingJobs } from './shipping.jobs.js';
import { Transactions } from './transactions.js';

@Module({
  imports: [
    TypeOrmModule.forRoot(database()),
    TypeOrmModule.forFeature([Order]),
    JobsModule.forRoot({ http: { adminToken: settings.adminToken } }),
  ],
  controllers: [OrdersController, CarrierController],
  providers: [OrdersService, Transactions, Outbox, ReceiptJobs, ShippingJobs, PaymentJobs, JobLines, FirstOrders],
})
export class AppModule {}
