import { integer, pgTable, serial, text } from 'drizzle-orm/pg-core';

export const products = pgTable('products', {
  name: text().primaryKey(),
  stock: integer().notNull(),
});

export const orders = pgTable('orders', {
  id: serial().primaryKey(),
  item: text().notNull(),
  status: text().notNull().default('new'),
});

export type Order = typeof orders.$inferSelect;
