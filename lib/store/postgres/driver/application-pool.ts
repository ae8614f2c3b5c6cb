import type { DataSource, QueryRunner } from 'typeorm';

interface Client {
  on(event: 'error', handle: () => void): void;
}

/** The part of the application's `pg.Pool` that is used. */
export interface ApplicationPool {
  readonly options: { readonly max: number };
  on(event: 'connect', handle: (client: Client) => void): void;
  removeListener(event: 'connect', handle: (client: Client) => void): void;
}

/** That of an initialized DataSource. */
export function poolOf(app: DataSource): ApplicationPool {
  return (app.driver as unknown as { master: ApplicationPool }).master;
}

/**
 * How many connections transactional handlers may take of a pool: with all of them, a handler that asks for another one beside
 * its transaction would wait for ever, and so would the rest of the application. One in five, and one at least, is left.
 */
export function transactionsAtOnce(poolSize: number): number {
  return Math.max(1, poolSize - Math.max(1, Math.floor(poolSize / 5)));
}

const heard = new WeakSet<Client>();

/**
 * Keeps a terminated connection of the application's from ending the process: the driver says `error` twice, and TypeORM
 * listens once. The statement under way fails all the same, and its caller hears of it.
 */
export async function hearErrors(queryRunner: QueryRunner): Promise<void> {
  hear((await queryRunner.connect()) as Client);
}

/**
 * The same for each connection that the application's pool makes from now on. Between the pool, which listens no more, and
 * TypeORM, which listens a moment later, nobody would: when the server ends a connection as soon as it is ready, both
 * arrive at once. Returns what ends this.
 */
export function hearErrorsOf(pool: ApplicationPool): () => void {
  pool.on('connect', hear);
  return () => pool.removeListener('connect', hear);
}

function hear(client: Client): void {
  if (!heard.has(client)) {
    heard.add(client);
    client.on('error', () => undefined);
  }
}
