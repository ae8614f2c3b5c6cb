import { TopicSource, TopicSources } from '../../../lib/engine/claim/topic-source.js';
import type { TopicSourceParts } from '../../../lib/engine/claim/topic-source.js';
import type { LaneScan } from '../../../lib/store/jobs/job-records.js';

const NOW_MS = 1_000;

function toScan(...topics: string[]): LaneScan {
  const waiting = topics.map((topic) => ({ topic, priority: 0, dueInMs: 0, isPaused: false, isLimited: true }));
  return { waiting, keyed: [], at: new Date(0), tookMs: 0 };
}

describe('a limited topic that is known to have due jobs', () => {
  const known = (): TopicSources => {
    const parts = { capacity: { hasRoomFor: () => true }, random: () => 0 } as unknown as TopicSourceParts;
    const topics = new TopicSources((topic) => new TopicSource(topic, parts));
    topics.recordScan(toScan('mail', 'sms'), NOW_MS, 1, new Set(['mail', 'sms']));
    return topics;
  };
  const due = ({ byTopic }: TopicSources): string[] =>
    [...byTopic].filter(([, source]) => source.wants(NOW_MS)).map(([topic]) => topic);

  it('has none any more when a scan finds none', () => {
    const topics = known();
    topics.recordScan(toScan('sms'), NOW_MS, 2, new Set(['mail', 'sms']));
    expect(due(topics)).toEqual(['sms']);
  });

  it('still has them after a scan that left the topic out, because its limits were not written yet', () => {
    const topics = known();
    topics.recordScan(toScan('sms'), NOW_MS, 2, new Set(['sms']));
    topics.recordScan(toScan(), NOW_MS, 3, new Set());
    expect(due(topics)).toEqual(['mail', 'sms']);
  });
});
