import { EntitySchema, MikroORM } from '@mikro-orm/postgresql';
import { fromMikroOrm } from 'nestjs-jobs/orm';
import type { OrmDriver } from '../support/orm-driver.js';
import { POOL_SIZE, runAsync } from '../support/orm-driver.js';

const effect = new EntitySchema<{ id: string }>({
  name: 'Effect',
  properties: { id: { type: 'text', primary: true } },
});

const order = new EntitySchema<{ id: number; item: string; status: string }>({
  name: 'Order',
  tableName: 'orders',
  properties: {
    id: { type: 'integer', primary: true, autoincrement: true },
    item: { type: 'text' },
    status: { type: 'text', default: 'new' },
  },
});

export const driver: OrmDriver = {
  databases: ['postgres'],
  knowsEnd: true,
  async open(_database, url) {
    const orm = await MikroORM.init({ clientUrl: url, entities: [effect, order], pool: { max: POOL_SIZE } });
    return {
      transact: (work, isRolledBack = false) =>
        runAsync(
          (run) =>
            orm.em
              .fork()
              .transactional((em) =>
                run({ adapt: () => fromMikroOrm(em), run: (sql) => em.execute(sql) as Promise<unknown> }),
              ),
          work,
          isRolledBack,
        ),
      adaptClient: () => fromMikroOrm(orm.em.fork()),
      guideNames: { em: orm.em.fork(), Order: order },
      close: () => orm.close(),
    };
  },
};
