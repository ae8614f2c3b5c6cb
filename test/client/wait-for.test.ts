import type { Job } from 'nestjs-jobs/client';
import { JobFailedError, JobsClient, WaitTimeoutError } from 'nestjs-jobs/client';
import { until } from '../support/wait.js';
import { json, useScriptedServer } from './support/scripted-server.js';

const ID = '0193e0c5-5d3c-7cc2-a5a4-3f1c2f2b9a10';
const server = useScriptedServer();
const connect = (): JobsClient => new JobsClient({ baseUrl: server.url, retries: 0 });

const FINISHED = '2030-01-01T00:00:00.000Z';
const pending: Partial<Job> = { id: ID, topic: 'mail', status: 'pending', finished: null };
const completed: Partial<Job> = { ...pending, status: 'completed', finished: FINISHED, result: 7 };
const expired: Partial<Job> = { ...pending, status: 'cancelled', finished: FINISHED, last_error: 'expired' };

describe('waitFor', () => {
  it('asks until the job has completed', async () => {
    server.answers(json(200, pending), json(200, { ...pending, status: 'processing' }), json(200, completed));
    const job = await connect().waitFor(ID);
    expect(job).toEqual(completed);
    expect(server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(
      Array.from({ length: 3 }, () => `GET /api/jobs/${ID}`),
    );
  });

  it('rejects with the job when it has failed or was cancelled', async () => {
    server.answers(json(200, expired));
    const error: unknown = await connect()
      .waitFor(ID)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(JobFailedError);
    expect(error).toMatchObject({ job: expired, message: `job ${ID} of topic 'mail' was cancelled: expired` });
    server.answers(json(200, { ...expired, status: 'failed', last_error: 'no' }));
    await expect(connect().waitFor(ID)).rejects.toThrow(/failed: no$/);
  });

  it('rejects after the timeout', async () => {
    server.answers(json(200, pending));
    await expect(connect().waitFor(ID, { timeout: '0.1s' })).rejects.toMatchObject({ id: ID, timeoutMs: 100 });
    await expect(connect().waitFor(ID, { timeout: 1 })).rejects.toBeInstanceOf(WaitTimeoutError);
    await expect(connect().waitFor(ID, { timeout: 'soon' as never })).rejects.toThrow(
      /^timeout: expected milliseconds/,
    );
  });

  it('rejects when its signal aborts, and for an unknown job', async () => {
    server.answers(json(200, pending));
    const controller = new AbortController();
    const waiting = connect().waitFor(ID, { signal: controller.signal });
    void until(() => server.requests.length > 0).then(() => controller.abort(new Error('enough')));
    await expect(waiting).rejects.toThrow('enough');
    server.answers(json(404, { status: 404, code: 'JOB_NOT_FOUND', message: 'there is no job', data: {} }));
    await expect(connect().waitFor(ID)).rejects.toMatchObject({ status: 404, code: 'JOB_NOT_FOUND' });
  });
});
