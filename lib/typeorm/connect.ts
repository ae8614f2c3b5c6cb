// eslint-disable-next-line @typescript-eslint/ban-ts-comment -- the next one must not fail where TypeORM is installed
// @ts-ignore: an application without TypeORM has no such types.
import type { DataSource as TypeOrmDataSource, DataSourceOptions, EntityManager as TypeOrmManager } from 'typeorm';
import { loadTypeOrm } from './packages.cjs';

/** Without TypeORM its types are `any`, which would accept everything. */
type IfInstalled<T> = 0 extends 1 & T ? never : T;

export type DataSource = IfInstalled<TypeOrmDataSource>;
export type EntityManager = IfInstalled<TypeOrmManager>;

/** Opens a DataSource where the application has none: for tests. */
export function connect(options: DataSourceOptions): Promise<DataSource> {
  const { DataSource: Created } = loadTypeOrm();
  return new Created(options).initialize();
}
