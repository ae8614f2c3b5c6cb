import { BadRequestException } from '@nestjs/common';
import type { Order } from './order.entity.js';

/** Body of `POST /orders`. */
export type NewOrder = Pick<Order, 'email' | 'item' | 'amount' | 'express'>;

/** Checks the body of a request. @throws BadRequestException with all invalid fields */
export function readNewOrder(body: unknown): NewOrder {
  const { email, item, amount, express = false } = (body ?? {}) as Partial<Record<keyof NewOrder, unknown>>;
  const problems = [
    typeof email === 'string' && /^[^\s@]{1,64}@[^\s@]{1,190}$/.test(email) ? '' : 'email: expected an address',
    typeof item === 'string' && /^[^\p{Cc}]{1,100}$/u.test(item) ? '' : 'item: expected text of 1 to 100 characters',
    Number.isInteger(amount) && Number(amount) >= 1 && Number(amount) <= 1_000_000
      ? ''
      : 'amount: expected cents, a whole number from 1 to 1000000',
    typeof express === 'boolean' ? '' : 'express: expected true or false',
  ].filter(Boolean);
  if (problems.length > 0) {
    throw new BadRequestException(problems);
  }
  return { email, item, amount, express } as NewOrder;
}
