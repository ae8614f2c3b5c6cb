import type { JobStats } from '../../core/job.js';
import type { TopicStats } from '../../core/job-reports.js';
import type { TopicPage } from '../../engine/reports/queue-stats.js';
import { TOPICS } from '../../http/requests.js';
import { toStatsDto, toTopicListDto } from '../../http/report-serializer.js';
import { formatAge, formatCount, formatTime } from '../format.js';
import type { Cell, Terminal } from '../terminal.js';
import { EXIT } from '../exit.js';
import { defineVerb } from '../verb.js';

/** Counts jobs, in all and by topic. */
export const status = defineVerb({
  name: 'status',
  summary: 'Counts the jobs and lists the topics',
  examples: ['nestjs-jobs status', 'nestjs-jobs status --topic mail --json'],
  fields: TOPICS,
  async run({ values, terminal, isJson, open }) {
    const queue = await open();
    const engine = await queue.engine();
    const selected = values.topic ?? null;
    const [stats, page] = [await engine.stats.get(selected), await engine.topics.page(selected)];
    if (isJson) {
      terminal.printJson({
        database: engine.database,
        stats: toStatsDto(stats),
        topics: toTopicListDto(page).items,
        other: page.other,
      });
      return EXIT.DONE;
    }
    terminal.print(terminal.paint('bold', queue.target.name));
    terminal.print();
    printStats(terminal, stats);
    if (page.items.length > 0) {
      terminal.print();
      printTopics(terminal, page);
    }
    return EXIT.DONE;
  },
});

function printStats(terminal: Terminal, stats: JobStats): void {
  const { pending, retrying, processing, completed, failed, cancelled, oldestPendingMs } = stats;
  const ms = (time: number): string => formatAge(time);
  terminal.printPairs([
    ['pending', formatCount(pending) + (oldestPendingMs === null ? '' : `, oldest due for ${ms(oldestPendingMs)}`)],
    ['retrying', { text: formatCount(retrying), style: retrying > 0 ? 'yellow' : undefined }],
    ['processing', formatCount(processing)],
    [
      'completed',
      formatCount(completed) + (completed === 0 ? '' : `, mean ${ms(stats.avgExecutionTime)}, p95 ${ms(stats.p95)}`),
    ],
    ['failed', { text: formatCount(failed), style: failed > 0 ? 'red' : undefined }],
    ['cancelled', formatCount(cancelled)],
    ['success rate', completed + failed === 0 ? '' : `${(stats.successRate * 100).toFixed(1)} %`],
  ]);
}

function printTopics(terminal: Terminal, { items, other }: TopicPage): void {
  const rows = items.map((topic): Cell[] => [
    topic.topic,
    formatCount(topic.pending),
    { text: formatCount(topic.retrying), style: topic.retrying > 0 ? 'yellow' : undefined },
    formatCount(topic.processing),
    formatCount(topic.completed),
    { text: formatCount(topic.failed), style: topic.failed > 0 ? 'red' : undefined },
    topic.oldestPendingMs === null ? '' : formatAge(topic.oldestPendingMs),
    { text: toNotes(topic), style: 'yellow' },
  ]);
  if (other) {
    const { topics, pending, retrying, processing, completed, failed } = other;
    const counts = [pending, retrying, processing, completed, failed].map(formatCount);
    rows.push([`${formatCount(topics)} other topics`, ...counts, '', '']);
  }
  terminal.printTable(
    ['TOPIC', '>PENDING', '>RETRYING', '>PROCESSING', '>COMPLETED', '>FAILED', '>OLDEST DUE', 'NOTE'],
    rows,
  );
}

function toNotes({ pausedSince, hasHandler }: TopicStats): string {
  const notes = [pausedSince && `paused since ${formatTime(pausedSince)}`, !hasHandler && 'no live handler'];
  return notes.filter(Boolean).join(', ');
}
