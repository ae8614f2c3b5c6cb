import type { TopicStats } from '../../../client/index.js';
import { listAttention, rankTopic } from '../../../ui/src/data/attention.js';
import { withKept } from '../../../ui/src/data/kept-topics.js';
import { errorCounts } from '../../../ui/src/text/amount.js';

const NOTHING = withKept([], [{ topic: 'mail' } as TopicStats])[0]!;
const topic = (members: Partial<TopicStats>): TopicStats => ({ ...NOTHING, has_handler: true, ...members });
const recent = (completed: number, failed: number): Pick<TopicStats, 'recent'> => ({
  recent: { completed, attempts_failed: failed },
});

describe('a topic needs attention', () => {
  it.each<[string, Partial<TopicStats>, string | undefined]>([
    ['nothing happens', {}, undefined],
    ['jobs wait for their time', { pending: 9, next_due_ms: 5_000 }, undefined],
    ['it is paused without jobs', { paused_since: '2030-01-01T00:00:00Z' }, undefined],
    ['it is paused, and jobs wait', { paused_since: '2030-01-01T00:00:00Z', pending: 1 }, 'paused'],
    ['it is paused and fails', { paused_since: '2030-01-01T00:00:00Z', pending: 9, retrying: 9 }, 'paused'],
    ['no process handles its jobs', { has_handler: false, pending: 1 }, 'unhandled'],
    ['no process handles it, and no job waits', { has_handler: false, completed: 3 }, undefined],
    ['few attempts failed', recent(0, 4), undefined],
    ['many attempts failed', recent(20, 5), 'failing'],
    ['a small share of its attempts failed', recent(21, 5), undefined],
    ['jobs wait for a retry', { pending: 5, retrying: 5 }, 'failing'],
    ['few jobs wait for a retry', { pending: 5, retrying: 4 }, undefined],
    ['jobs wait for a retry, while others complete', { retrying: 5, ...recent(1, 0) }, undefined],
    ['a due job waits', { pending: 1, oldest_pending_ms: 60_000 }, 'stalled'],
    ['a due job waits for a moment', { pending: 1, oldest_pending_ms: 59_999 }, undefined],
    ['a due job waits while another runs', { oldest_pending_ms: 90_000, processing: 1 }, undefined],
    ['a due job waits for a limit', { oldest_pending_ms: 90_000, limited_by: 'rate' }, undefined],
  ])('when %s', (_, members, reason) => {
    expect(listAttention([topic(members)])[0]?.reason).toBe(reason);
  });

  it('together with others that no worker handles, and before topics with fewer waiting jobs', () => {
    const lost = (name: string, pending: number): TopicStats => topic({ topic: name, pending, has_handler: false });
    const paused = topic({ topic: 'paused', paused_since: '2030-01-01T00:00:00Z', pending: 3_000 });
    const few = topic({ topic: 'few', paused_since: '2030-01-01T00:00:00Z', pending: 4 });
    const summary = (own: string[] = []): unknown[] =>
      listAttention([lost('a', 1), few, lost('b', 101), paused], new Set(own)).map(({ topics: all, pending }) => [
        all.map((each) => each.topic),
        pending,
      ]);
    expect(summary()).toEqual([
      [['paused'], 3_000],
      [['b', 'a'], 102],
      [['few'], 4],
    ]);
    expect(summary(['few'])[0]).toEqual([['few'], 4]);
  });

  it('in the order of urgency, then of waiting jobs', () => {
    const topics = [
      topic({ topic: 'calm' }),
      topic({ topic: 'paused', paused_since: '2030-01-01T00:00:00Z', pending: 5_000 }),
      topic({ topic: 'failing', pending: 7, retrying: 7 }),
      topic({ topic: 'failing more', pending: 8, retrying: 8 }),
    ];
    expect(listAttention(topics).map((each) => each.topics[0].topic)).toEqual(['failing more', 'failing', 'paused']);
    expect(topics.toSorted((one, other) => rankTopic(one) - rankTopic(other)).at(-1)!.topic).toBe('calm');
  });
});

describe('the counts of an error', () => {
  it.each([
    [0, 0, '0 failed'],
    [312, 0, '312 failed'],
    [0, 188, '188 retrying'],
    [1_312, 188, '1,312 failed · 188 retrying'],
  ])('%i failed and %i retrying: %s', (failed, retrying, text) => {
    expect(errorCounts(failed, retrying)).toBe(text);
  });

  it('say when there may be more', () => {
    expect(errorCounts(10_000, 3, 10_000)).toBe('10,000+ failed · 3 retrying');
  });
});
