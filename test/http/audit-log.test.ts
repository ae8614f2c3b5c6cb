import type { Job } from '../../client/index.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { textWith } from '../nest/support/matchers.js';
import { everyAdapter } from './support/adapters.js';
import type { HttpApp, HttpAppParts } from './support/http-apps.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

const authenticate = ({ headers }: { headers: Record<string, string | undefined> }) =>
  headers['x-user'] === undefined ? null : { id: headers['x-user'], admin: true };

describe.each(everyAdapter)('the audit log on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);
  const lines = (): string[] =>
    apps.log.of('log').flatMap((line) => (line.endsWith(' JobsModule') ? [line.slice(0, -' JobsModule'.length)] : []));

  const listen = (http: NonNullable<HttpAppParts['options']>['http']): Promise<HttpApp> =>
    apps.listen({ options: { http } });
  const headers = { 'X-User': 'anna' };

  it('names the caller, the job and the change, without the text of a search', async () => {
    const { api, jobs } = await listen({ authenticate });
    const { id } = await jobs.enqueue('later', 1);
    const other = await jobs.enqueue('later', 2);
    apps.log.lines.splice(0);
    await api.as().post(`/${id}/cancel`, {}, { headers });
    await api.as().post(`/${id}/requeue`, {}, { headers });
    await api.as().post(`/${id}/cancel`, {}, { headers });
    await api.as().post(`/${id}/requeue`, { payload: 3 }, { headers });
    await api.as().post(`/${id}/promote`, {}, { headers });
    await api.as().delete(`/${id}`, { headers });
    await api.as().post('/topics/pause', { topic: 'later' }, { headers });
    await api.as().post('/topics/resume', { topic: 'later' }, { headers });
    for (const limits of [{ per_key: 2 }, null]) {
      await api.as().send('PUT', '/topics/limits', { body: { topic: 'later', limits }, headers });
    }
    await api.as().post('/bulk', { action: 'cancel', filter: { topic: 'later', q: 'later' } }, { headers });
    expect(lines()).toEqual([
      `'anna' cancelled job ${id} of 'later'`,
      `'anna' re-queued job ${id} of 'later'`,
      `'anna' cancelled job ${id} of 'later'`,
      `'anna' re-queued job ${id} of 'later' with another payload`,
      `'anna' promoted job ${id} of 'later'`,
      `'anna' deleted job ${id}`,
      `'anna' paused the topic 'later'`,
      `'anna' resumed the topic 'later'`,
      `'anna' set the limits {"perKey":2} of the topic 'later'`,
      `'anna' removed the limits of the topic 'later'`,
      `'anna' cancelled, or asked to end, 1 job: {"filter":{"topic":["later"],"q":"…"}}`,
    ]);
    expect(await jobs.get(other.id)).toMatchObject({ status: 'cancelled' });
  });

  it('is in each job, too, for those who may read it', async () => {
    const { api, jobs } = await listen({ authenticate });
    const { id } = await jobs.enqueue('later', 1);
    const cancelled = await api.as().post<Job>(`/${id}/cancel`, {}, { headers });
    expect(cancelled.body.actions).toMatchObject([{ action: 'cancel', via: 'api', by: 'anna' }]);
    await api.as().post(`/${id}/requeue`, { payload: 3 }, { headers: { 'X-User': 'ben' } });
    await api.as().post(`/${id}/promote`, {}, { headers });
    await jobs.cancel(id);
    await api.as().post('/bulk', { action: 'requeue', ids: [id] }, { headers });
    const { body } = await api.as().get<Job>(`/${id}`, { headers });
    expect(body.actions.map(({ action, via, by }) => [action, via, by])).toEqual([
      ['cancel', 'api', 'anna'],
      ['edit', 'api', 'ben'],
      ['promote', 'api', 'anna'],
      ['cancel', 'application', null],
      ['requeue', 'api', 'anna'],
    ]);
  });

  it('ignores rejected requests and dry runs', async () => {
    const { api, jobs } = await listen({ authenticate });
    const { id } = await jobs.enqueue('later', 1);
    apps.log.lines.splice(0);
    await api.as().post(`/${id}/requeue`, {}, { headers });
    await api.as().post(`/${id}/cancel`, {});
    await api.as().post('/bulk', { action: 'cancel', filter: { topic: 'later' }, dry_run: true }, { headers });
    expect(lines()).toEqual([]);
  });

  it('writes one line for any name of a caller', async () => {
    const { api, jobs } = await listen({ authenticate: () => ({ id: `x\nERROR ${'y'.repeat(10_000)}`, admin: true }) });
    const { id } = await jobs.enqueue('later', 1);
    await api.as().post(`/${id}/cancel`, {});
    const [line] = apps.log.of('log', 'cancelled job');
    expect(line).toMatch(/^'x ERROR y+' cancelled job/);
    expect(line!.length).toBeLessThan(500);
  });

  it('says an administrator with the token, and an unknown caller with a public rule', async () => {
    const byToken = await listen({ adminToken: ADMIN_TOKEN });
    const { id } = await byToken.jobs.enqueue('later', 1);
    await byToken.api.as(ADMIN_TOKEN).post(`/${id}/cancel`, {});
    expect(apps.log.of('log', 'cancelled job')).toEqual([textWith('an administrator cancelled job')]);
    apps.log.lines.splice(0);

    const open = await listen({ manageRule: 'public' });
    await open.api.as().post(`/${id}/requeue`, {});
    expect(apps.log.of('log', 're-queued job')).toEqual([textWith('an unknown caller re-queued job')]);
    const nameless = { via: 'api', by: null };
    expect((await open.jobs.get(id))!.actions).toMatchObject([nameless, nameless]);
  });
});
