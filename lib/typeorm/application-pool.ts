import type { DataSource, QueryRunner } from 'typeorm';

interface Client {
  on(event: 'error', handle: () => void): void;
}

/** The part of the application's `pg.Pool` that is used. */
interface ApplicationPool {
  readonly options: { readonly max: number };
  on(event: 'connect', handle: (client: Client) => void): void;
  removeListener(event: 'connect', handle: (client: Client) => void): void;
}

/** Returns the pool of an initialized DataSource. */
export function getApplicationPool(app: DataSource): ApplicationPool {
  return (app.driver as unknown as { master: ApplicationPool }).master;
}

/**
 * Returns how many connections of a pool transactional handlers may take. One in five, and at least one, is left: with all of them
 * taken, a handler that asks for a second connection would wait forever.
 */
export function transactionsAtOnce(poolSize: number): number {
  return Math.max(1, poolSize - Math.max(1, Math.floor(poolSize / 5)));
}

const handled = new WeakSet<Client>();

/**
 * Keeps a terminated connection of the application from ending the process: the driver emits `error` twice, and TypeORM listens
 * once. The running statement still rejects.
 */
export async function handleConnectionErrors(queryRunner: QueryRunner): Promise<void> {
  handleErrors((await queryRunner.connect()) as Client);
}

/**
 * Does the same for each new connection of the application's pool, and returns a function that stops this. The pool removes its
 * listener a moment before TypeORM adds its own: an error in that moment would end the process.
 */
export function handlePoolErrors(pool: ApplicationPool): () => void {
  pool.on('connect', handleErrors);
  return () => pool.removeListener('connect', handleErrors);
}

function handleErrors(client: Client): void {
  if (!handled.has(client)) {
    handled.add(client);
    client.on('error', () => undefined);
  }
}
