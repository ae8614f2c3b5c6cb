import { DataSource } from 'typeorm';
import { Transactions } from '../../sample-app/transactions.js';

describe('transactions of the sample app on SQLite', () => {
  let dataSource: DataSource;
  let transactions: Transactions;

  beforeEach(async () => {
    dataSource = await new DataSource({ type: 'better-sqlite3', database: ':memory:' }).initialize();
    transactions = new Transactions(dataSource);
  });
  afterEach(() => dataSource.destroy());

  it('run one at a time', async () => {
    const steps: string[] = [];
    const step = (name: string): Promise<void> =>
      transactions.run(async () => {
        steps.push(`${name} begins`);
        await new Promise(setImmediate);
        steps.push(`${name} ends`);
      });
    await Promise.all([step('first'), step('second')]);
    expect(steps).toEqual(['first begins', 'first ends', 'second begins', 'second ends']);
  });

  it('reject a nested transaction and continue', async () => {
    const inner = transactions.run(() => transactions.run(() => Promise.resolve('never')));
    await expect(inner).rejects.toThrow('a transaction is already open here');
    expect(await transactions.run(() => Promise.resolve('next'))).toBe('next');
  });
});
