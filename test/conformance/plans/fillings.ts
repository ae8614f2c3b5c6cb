import type { Lane, LaneGap } from '../../../lib/store/store-records.js';

/** A kind of table in which a careless claim becomes slow. */
export interface Filling {
  readonly title: string;
  /** Its rows as SQL: `rows` of them that stand in the way, or are the work, with the ids from `firstId` on. */
  sql(rows: number, firstId: number): string;
  readonly lanes: readonly Pick<Lane, 'topic' | 'priority'>[];
  /** How many jobs are asked of each lane. */
  readonly laneLimit: number;
  /** How many jobs there are to claim, with room for 100. */
  readonly claimable: number;
}

export const CLAIM_LIMIT = 100;
const TOPICS = 100;
/** Due jobs of our own beside the rows that stand in the way. */
const OURS = 1_000;

const hundred = (prefix: string): Filling['lanes'] =>
  Array.from({ length: TOPICS }, (_, index) => ({ topic: `${prefix}_${index}`, priority: 0 }));

/** `columns` gives values for topic, status, priority, run_at and finished, `n` counts from 0. */
function rowsOf(rows: number, firstId: number, columns: string): string {
  return `
    INSERT INTO _jobs (id, topic, status, priority, run_at, finished, payload)
    SELECT ('0190' || lpad(to_hex(${firstId} + n), 28, '0'))::uuid, ${columns}, '{"to":"a@example.org"}'
    FROM generate_series(0, ${rows - 1}) AS n`;
}

const due = `statement_timestamp() - n * interval '1 millisecond', NULL::timestamptz`;
const tomorrow = `statement_timestamp() + interval '1 day' + n * interval '1 millisecond', NULL::timestamptz`;
const ended = `statement_timestamp() - interval '1 day', statement_timestamp() - n * interval '1 millisecond'`;

export const fillings: readonly Filling[] = [
  {
    title: 'empty of work: half has ended, half waits for tomorrow',
    sql: (rows, firstId) =>
      `${rowsOf(rows / 2, firstId, `'idle_' || n % ${TOPICS}, 'completed', 0, ${ended}`)};
       ${rowsOf(rows / 2, firstId + rows / 2, `'idle_' || n % ${TOPICS}, 'pending', 0, ${tomorrow}`)}`,
    lanes: hundred('idle'),
    laneLimit: CLAIM_LIMIT,
    claimable: 0,
  },
  {
    title: 'a hundred topics full of due jobs',
    sql: (rows, firstId) => rowsOf(rows, firstId, `'many_' || n % ${TOPICS}, 'pending', 0, ${due}`),
    lanes: hundred('many'),
    // One of each, or the first lane alone would serve the claim.
    laneLimit: CLAIM_LIMIT / TOPICS,
    claimable: CLAIM_LIMIT,
  },
  {
    title: 'more urgent jobs that lie in the future',
    sql: (rows, firstId) =>
      `${rowsOf(rows, firstId, `'future', 'pending', -10, ${tomorrow}`)};
       ${rowsOf(OURS, firstId + rows, `'future', 'pending', 0, ${due}`)}`,
    lanes: [
      { topic: 'future', priority: -10 },
      { topic: 'future', priority: 0 },
    ],
    laneLimit: CLAIM_LIMIT,
    claimable: CLAIM_LIMIT,
  },
  {
    title: 'due jobs of a foreign topic',
    sql: (rows, firstId) =>
      `${rowsOf(rows, firstId, `'foreign', 'pending', 0, ${due}`)};
       ${rowsOf(OURS, firstId + rows, `'ours', 'pending', 0, ${due}`)}`,
    lanes: [{ topic: 'ours', priority: 0 }],
    laneLimit: CLAIM_LIMIT,
    claimable: CLAIM_LIMIT,
  },
  {
    title: 'finished jobs of the same topic',
    sql: (rows, firstId) =>
      `${rowsOf(rows, firstId, `'ended', (ARRAY['completed', 'failed', 'cancelled'])[1 + n % 3], 0, ${ended}`)};
       ${rowsOf(OURS, firstId + rows, `'ended', 'pending', 0, ${due}`)}`,
    lanes: [{ topic: 'ended', priority: 0 }],
    laneLimit: CLAIM_LIMIT,
    claimable: CLAIM_LIMIT,
  },
];

/** What a claim of all lanes of a filling is asked with. */
export function laneJson({ lanes, laneLimit }: Filling): string {
  const input = lanes.map((lane) => ({ ...lane, lower_bound: '-infinity', lane_limit: laneLimit }));
  return JSON.stringify(input);
}

/** What a scan of all lanes of a filling is asked with. */
export function startJson({ lanes }: Filling): string {
  return JSON.stringify(lanes.map((lane) => ({ ...lane, lower_bound: '-infinity' })));
}

/** What is asked for what lies in the lanes of a filling and around them. */
export function gapsOf(lanes: Filling['lanes']): LaneGap[] {
  return lanes.flatMap(({ topic, priority }) => [
    { topic, after: -1_001, before: priority },
    { topic, after: priority - 1, before: priority + 1 },
    { topic, after: priority, before: 1_001 },
  ]);
}
