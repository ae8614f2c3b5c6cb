import type { Type } from '@nestjs/common';
import type { JobTopic } from 'nestjs-jobs';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';

const guide = new GuideCode('guide/dead-letters.md');
const load = (name: string): Type<object> => guide.exportOf<Type<object>>(name);

describe('the dead letters of the guide', () => {
  const apps = useApps(sqliteFile);
  beforeEach(() => void jest.spyOn(console, 'log').mockReturnValue(undefined));
  afterEach(() => jest.restoreAllMocks());

  it('run the handlers of failed jobs', async () => {
    const classes = ['PaymentJobs', 'Alerts', 'MailJobs', 'MailFailures', 'SecondChance'];
    let imports = 0;
    const app = await apps.start({
      providers: classes.map(load),
      handlers: {
        import_file: [
          () => {
            imports += 1;
            throw new Error(`import ${imports}`);
          },
          { maxRetries: 0 },
        ],
      },
    });
    const payment = await app.jobs.enqueue(
      guide.exportOf<JobTopic<{ orderId: number }>>('CapturePayment'),
      { orderId: 7 },
      { maxRetries: 0 },
    );
    const mail = await app.jobs.enqueue('send_mail', { to: 'a@example.org' });
    const file = await app.jobs.enqueue('import_file', null);
    await app.event('failed', file.id, 5);
    await app.jobs.whenIdle();
    expect(console.log).toHaveBeenCalledWith('release the stock of order', 7, 'order 7: card declined');
    expect(console.log).toHaveBeenCalledWith(`capture_payment ${payment.id} failed: order 7: card declined`);
    expect(console.log).toHaveBeenCalledWith(`send_mail ${mail.id} failed: no such mailbox`);
    const { items } = await app.jobs.list({ topic: 'send_mail.failed' });
    expect(items).toMatchObject([{ status: 'completed', result: 'could not write to a@example.org' }]);
    expect((await app.jobs.list({ topic: 'SecondChance.again' })).total).toBe(5);
  });
});
