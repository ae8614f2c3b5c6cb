import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { JobsModule } from 'nestjs-jobs';
import { CarrierController } from './carrier.controller.js';
import { database } from './database.js';
import { DigestJobs } from './digest.jobs.js';
import { HomeController } from './home.controller.js';
import { InvoiceJobs } from './invoice.jobs.js';
import { JobLines } from './job-lines.js';
import { Order } from './order.entity.js';
import { OrdersAtStart } from './orders-at-start.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import { Outbox } from './outbox.js';
import { PaymentJobs } from './payment.jobs.js';
import { ReceiptJobs } from './receipt.jobs.js';
import { settings } from './settings.js';
import { ShippingJobs } from './shipping.jobs.js';

@Module({
  imports: [
    TypeOrmModule.forRoot(database()),
    TypeOrmModule.forFeature([Order]),
    JobsModule.forRoot({
      http: { adminToken: settings.adminToken },
      ui: { title: 'Tea shop', environment: { name: 'development', color: 'green' } },
    }),
  ],
  controllers: [HomeController, OrdersController, CarrierController],
  providers: [
    OrdersService,
    Outbox,
    ReceiptJobs,
    PaymentJobs,
    ShippingJobs,
    InvoiceJobs,
    DigestJobs,
    JobLines,
    OrdersAtStart,
  ],
})
export class AppModule {}
