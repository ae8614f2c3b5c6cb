import { Body, Controller, Get, HttpCode, Param, ParseIntPipe, Post } from '@nestjs/common';
import { readNewOrder } from './new-order.js';
import type { Order } from './order.entity.js';
import { OrdersService } from './orders.service.js';

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  @Post()
  place(@Body() body: unknown): Promise<Order> {
    return this.orders.place(readNewOrder(body));
  }

  @Get()
  newest(): Promise<Order[]> {
    return this.orders.newest();
  }

  @Post(':id/payment')
  @HttpCode(202)
  pay(@Param('id', ParseIntPipe) id: number): Promise<Order> {
    return this.orders.pay(id);
  }
}
