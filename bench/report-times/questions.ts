import type { JobFilter } from '../../lib/core/job.js';
import { ErrorStats } from '../../lib/engine/reports/error-stats.js';
import { QueueStats } from '../../lib/engine/reports/queue-stats.js';
import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { logParts } from '../../test/support/unit/log-parts.js';
import { systemClock } from '../../lib/store/runtime/system-clock.js';
import type { JobStore } from '../../lib/store/job-store.js';
import { RARE_TOPIC } from './fill.js';
import type { Question } from './rounds.js';

const HOUR_MS = 3_600_000;
/** So many pages lie before the deep one. */
const DEEP_PAGES = 200;

/** What people ask of the queue, each as the admin UI and the HTTP API do. */
export async function questions(store: JobStore, endMs: number): Promise<Question[]> {
  const { jobs, errors } = new JobsEngine({ store });
  const at = (hours: number): Date => new Date(endMs + hours * HOUR_MS);

  const page = (title: string, filter: JobFilter): Question => ({
    title,
    ask: async () => {
      const { items, total, totalCapped } = await jobs.list(filter);
      return `${items.length} of ${total}${totalCapped ? '+' : ''}`;
    },
  });

  let cursor: string | null = null;
  for (let pages = 0; pages < DEEP_PAGES; pages += 1) {
    ({ nextCursor: cursor } = await jobs.list({ status: 'completed', limit: 200, cursor: cursor ?? undefined }));
  }

  const { items: groups } = await errors.list('topic_7');
  return [
    page('first page', {}),
    page('page of a rare topic', { topic: RARE_TOPIC }),
    page('page of a topic and a status', { topic: 'topic_7', status: 'failed' }),
    page('page of a status', { status: 'failed' }),
    page('page of a status that is rare', { status: 'processing' }),
    page('page of jobs that wait for a retry', { status: 'retrying' }),
    page('page of what is due', { due: true }),
    page('page of what waits for its time', { due: false }),
    page('page of a topic that waits for its time', { topic: 'topic_7', due: false }),
    page('text search in errors', { q: '10.0.0.17:25' }),
    page('text search without a hit', { q: 'no such text' }),
    page('page of an error group', { errorKey: groups[0]!.key, status: ['failed', 'retrying'] }),
    page('page of an error group of a topic', {
      errorKey: groups[0]!.key,
      topic: 'topic_7',
      status: ['failed', 'retrying'],
    }),
    page('page of the last hour', { createdFrom: at(-1) }),
    page('page of an hour half a day ago', { createdFrom: at(-12), createdTo: at(-11) }),
    page('page of an hour, of a topic', { topic: 'topic_7', createdFrom: at(-12), createdTo: at(-11) }),
    page('page of an hour, of a status', { status: 'failed', createdFrom: at(-12), createdTo: at(-11) }),
    page('page of a day without jobs', { createdFrom: at(-720), createdTo: at(-696) }),
    page(`page by cursor behind ${DEEP_PAGES * 200} jobs`, { status: 'completed', limit: 200, cursor: cursor! }),
    page('page behind an offset of 10,000', { offset: 10_000 }),
    page('page of a status behind an offset of 10,000', { status: 'completed', offset: 10_000 }),
    ...reports(store),
  ];
}

function reports(store: JobStore): Question[] {
  const shared = new QueueStats({ store, ...logParts(systemClock) });
  const newStats = (): QueueStats => new QueueStats({ store, ...logParts(systemClock) });
  const stats = async (queueStats: QueueStats, topic?: string): Promise<string> =>
    `${(await queueStats.get(topic === undefined ? null : [topic])).total} jobs`;
  return [
    { title: 'stats', ask: () => stats(shared) },
    { title: 'stats, not cached', ask: () => stats(newStats()) },
    { title: 'count of all jobs', ask: async () => `${(await store.reports.counts(null)).topics.length} topics` },
    { title: 'stats of a topic', ask: () => stats(shared, 'topic_7') },
    { title: 'stats of a topic, not cached', ask: () => stats(newStats(), 'topic_7') },
    { title: 'topics', ask: async () => `${(await shared.byTopic()).length} topics` },
    {
      title: 'errors',
      ask: async () => `${(await new ErrorStats({ store, clock: systemClock }).list()).items.length} groups`,
    },
    { title: 'timeseries of a day', ask: async () => `${(await shared.timeseries(1_440)).length} minutes` },
    {
      title: 'timeseries of a topic',
      ask: async () => `${(await shared.timeseries(1_440, ['topic_7'])).length} minutes`,
    },
  ];
}
