import { defineJob, UnrecoverableError } from 'nestjs-jobs';
import { z } from 'zod';
import type { ApiErrorBody } from '../../client/wire.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { textWith } from '../nest/support/matchers.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';

const Bill = defineJob('bill', { schema: z.object({ orderId: z.number() }) });

describe.each(everyAdapter)('the schema of a topic over HTTP on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);
  const refusal = { status: 400, body: { code: 'INVALID_PAYLOAD', data: { payload: textWith('payload.orderId') } } };

  it('validates the payload of enqueue and requeue', async () => {
    const app = await apps.listen();
    app.jobs.register(Bill, () => Promise.reject(new UnrecoverableError('no luck')));
    const wrong = { payload: { orderId: 'one' } };
    expect(await app.api.post('/enqueue', { topic: 'bill', ...wrong })).toMatchObject(refusal);

    const { id } = await app.jobs.enqueue(Bill, { orderId: 1 });
    await app.event('failed', id);
    expect(await app.api.get(`/${id}`)).toMatchObject({
      body: {
        failed_because: { code: 'unrecoverable', text: 'the error allows no retry: UnrecoverableError' },
        errors: [{ name: 'UnrecoverableError', message: 'no luck' }],
      },
    });
    expect(await app.api.post(`/${id}/requeue`, wrong)).toMatchObject(refusal);
    expect(await app.job(id)).toMatchObject({ status: 'failed', payload: { orderId: 1 } });
  });

  it('reports every issue by its path, for the inputs of a form', async () => {
    const app = await apps.listen();
    const Order = defineJob('order', {
      schema: z.object({ email: z.email(), lines: z.array(z.object({ amount: z.number().min(1, 'too few') })) }),
    });
    app.jobs.register(Order, () => null);
    const job = { topic: 'order', payload: { email: 'nobody', lines: [{ amount: 0 }] } };
    const text = 'payload.email: Invalid email address; payload.lines[0].amount: too few';
    expect((await app.api.post<ApiErrorBody>('/enqueue', job)).body.data).toEqual({
      payload: `${text} (schema of topic 'order')`,
      'payload.email': 'Invalid email address',
      'payload.lines[0].amount': 'too few',
    });
    expect((await app.api.post<ApiErrorBody>('/enqueue-many', { jobs: [job] })).body.data).toMatchObject({
      'jobs[0].payload': textWith('jobs[0].payload.lines[0].amount: too few'),
      'jobs[0].payload.email': 'Invalid email address',
      'jobs[0].payload.lines[0].amount': 'too few',
    });
  });
});
