import type { Sender } from 'nestjs-jobs/client';
import { PocketBaseJobs } from 'nestjs-jobs/client';
import { GuideCode } from '../support/guide-code.js';
import { empty, json, refusal, useScriptedServer } from './support/scripted-server.js';

const page = new GuideCode('guide/coming-from-pocketbase.md').exportOf<Sender>('page');

describe('the send function of the guide', () => {
  const server = useScriptedServer();
  const jobs = (): PocketBaseJobs =>
    new PocketBaseJobs({ send: (path, options) => page.send(server.url + path, options) });

  it('passes the options of a call on', async () => {
    server.answers(json(200, { items: [], total: 0 }));
    await jobs().list({ status: ['failed', 'cancelled'], limit: 5 });
    expect(server.requests).toMatchObject([{ method: 'GET', url: '/api/jobs?status=failed&status=cancelled&limit=5' }]);
  });

  it('sends the body and the idempotency key', async () => {
    server.answers(json(201, { id: 'a' }));
    expect(await jobs().enqueue('mail', { to: 'b' }, { idempotencyKey: 'order-7' })).toEqual({ id: 'a' });
    const [{ headers, body } = { headers: {}, body: '' }] = server.requests;
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'idempotency-key': 'order-7' });
    expect(JSON.parse(body)).toMatchObject({ topic: 'mail', payload: { to: 'b' } });
  });

  it('accepts a response without a body and throws for an error response', async () => {
    server.answers(empty(204), refusal(404, 'JOB_NOT_FOUND'));
    expect(await jobs().delete('a')).toBeUndefined();
    await expect(jobs().get('a')).rejects.toThrow('404');
  });
});
