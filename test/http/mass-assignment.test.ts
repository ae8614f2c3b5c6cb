import type { Job as WireJob } from '../../client/wire.js';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { useOneHttpApp } from './support/http-apps.js';

/** What a request may say of a job; every other member is the queue's to decide. */
const OF_ENQUEUE = ['topic', 'payload', 'run_at', 'max_retries', 'priority', 'unique_key', 'labels', 'metadata'];
const OF_REQUEUE = ['payload', 'run_at', 'max_retries'];
const OF_FILTERS = ['topic', 'status'];

/** Members of rows and of options that never are in an answer, and must not be in a request either. */
const INNER = [
  'backoff',
  'idempotency_key',
  'body_hash',
  'lockedBy',
  'lockedUntil',
  'cancelRequested',
  'transactional',
];

describe.each(everyAdapter)('a request on $adapter', (adapterKind) => {
  const app = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer' } });
  let job: WireJob;
  let members: string[];

  beforeEach(async () => {
    const { id } = await app().jobs.enqueue('a', { of: 'the test' }, { delay: '1h', maxRetries: 2 });
    await app().jobs.cancel(id);
    job = (await app().api.get<WireJob>(`/${id}`)).body;
    members = [...Object.keys(job), ...INNER];
  });

  async function refusedOf(
    path: string,
    allowed: readonly string[],
    bodyWith: (extra: object) => unknown,
    prefix = '',
  ): Promise<string[]> {
    const refused: string[] = [];
    for (const name of members.filter((member) => !allowed.includes(member))) {
      const value = (job as unknown as Record<string, unknown>)[name] ?? 1;
      const answer = await app().api.post<{ data: object }>(path, bodyWith({ [name]: value }));
      if (answer.status === 400 && Object.keys(answer.body.data).includes(prefix + name)) refused.push(name);
    }
    return refused;
  }

  const others = (allowed: readonly string[]) => members.filter((member) => !allowed.includes(member));

  it('to enqueue sets only the documented fields', async () => {
    const fresh = { topic: 'a', payload: 1, delay: '1h' };
    expect(await refusedOf('/enqueue', OF_ENQUEUE, (extra) => ({ ...fresh, ...extra }))).toEqual(others(OF_ENQUEUE));
    const many = (extra: object) => ({ jobs: [{ ...fresh, ...extra }] });
    expect(await refusedOf('/enqueue-many', OF_ENQUEUE, many, 'jobs[0].')).toEqual(others(OF_ENQUEUE));
  });

  it('to requeue changes only the documented fields; cancel and delete change none', async () => {
    const path = `/${job.id}`;
    expect(await refusedOf(`${path}/requeue`, OF_REQUEUE, (extra) => extra)).toEqual(others(OF_REQUEUE));
    expect(await refusedOf(`${path}/cancel`, [], (extra) => extra)).toEqual(members);
    expect((await app().api.get(path)).body).toEqual(job);
  });

  it('for a bulk action sets no field of the jobs', async () => {
    const bulk = (extra: object) => ({ action: 'requeue', ids: [job.id], ...extra });
    expect(await refusedOf('/bulk', [], bulk)).toEqual(members);
    const filtered = (extra: object) => ({ action: 'requeue', filter: extra });
    expect(await refusedOf('/bulk', OF_FILTERS, filtered, 'filter.')).toEqual(others(OF_FILTERS));
    expect((await app().api.get(`/${job.id}`)).body).toEqual(job);
  });
});
