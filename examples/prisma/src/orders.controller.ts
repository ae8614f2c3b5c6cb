import { Body, ConflictException, Controller, Get, NotFoundException, Param, ParseIntPipe, Post } from '@nestjs/common';
import { JobsService } from 'nestjs-jobs';
import { fromPrisma } from 'nestjs-jobs/orm';
import type { Order } from './generated/prisma/client.js';
import { PrismaService } from './prisma.module.js';

@Controller('orders')
export class OrdersController {
  constructor(
    private readonly prisma: PrismaService,
    private readonly jobs: JobsService,
  ) {}

  @Post()
  async place(@Body('item') item: string): Promise<Order> {
    return this.prisma.$transaction(async (tx) => {
      const order = await tx.order.create({ data: { item } });
      await this.jobs.enqueueTx(fromPrisma(tx), 'ship_order', { orderId: order.id });
      const { count } = await tx.product.updateMany({
        where: { name: item, stock: { gt: 0 } },
        data: { stock: { decrement: 1 } },
      });
      if (count === 0) {
        // Rolls everything back: there is neither an order nor a job.
        throw new ConflictException(`there is no ${item} left`);
      }
      return order;
    });
  }

  @Get(':id')
  async find(@Param('id', ParseIntPipe) id: number): Promise<Order> {
    const order = await this.prisma.order.findUnique({ where: { id } });
    if (!order) {
      throw new NotFoundException(`there is no order ${id}`);
    }
    return order;
  }
}
