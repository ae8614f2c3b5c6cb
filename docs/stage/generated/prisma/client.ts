// Stands in for the client that `prisma generate` writes, as far as the documentation uses it.
export interface Order {
  id: number;
  item: string;
  status: string;
}

interface OrderDelegate {
  create(args: { data: Pick<Order, 'item'> }): Promise<Order>;
  update(args: { where: { id: number }; data: Partial<Order> }): Promise<Order>;
}

export interface PrismaClient extends Prisma.TransactionClient {
  $transaction<T>(work: (tx: Prisma.TransactionClient) => Promise<T>, options?: { timeout?: number }): Promise<T>;
}

export declare namespace Prisma {
  interface TransactionClient {
    readonly order: OrderDelegate;
    $queryRawUnsafe<T = unknown>(query: string, ...values: unknown[]): Promise<T>;
  }
}
