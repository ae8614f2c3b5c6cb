import { Body, ConflictException, Controller, Get, NotFoundException, Param, ParseIntPipe, Post } from '@nestjs/common';
import { and, eq, gt, sql } from 'drizzle-orm';
import { JobsService } from 'nestjs-jobs';
import { fromDrizzle } from 'nestjs-jobs/orm';
import { Database } from './database.module.js';
import { orders, products, type Order } from './schema.js';

@Controller('orders')
export class OrdersController {
  constructor(
    private readonly database: Database,
    private readonly jobs: JobsService,
  ) {}

  @Post()
  async place(@Body('item') item: string): Promise<Order> {
    return this.database.db.transaction(async (tx) => {
      const [order] = await tx.insert(orders).values({ item }).returning();
      await this.jobs.enqueueTx(fromDrizzle(tx, sql), 'ship_order', { orderId: order!.id });
      const taken = await tx
        .update(products)
        .set({ stock: sql`${products.stock} - 1` })
        .where(and(eq(products.name, item), gt(products.stock, 0)))
        .returning();
      if (taken.length === 0) {
        // Rolls everything back: there is neither an order nor a job.
        throw new ConflictException(`there is no ${item} left`);
      }
      return order!;
    });
  }

  @Get(':id')
  async find(@Param('id', ParseIntPipe) id: number): Promise<Order> {
    const [order] = await this.database.db.select().from(orders).where(eq(orders.id, id));
    if (!order) {
      throw new NotFoundException(`there is no order ${id}`);
    }
    return order;
  }
}
