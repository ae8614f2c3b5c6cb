import type { Lane, LaneGap } from '../../../lib/store/jobs/job-records.js';

/** A kind of table content that makes a naive claim slow. */
export interface Filling {
  readonly title: string;
  /** SQL that inserts `rows` rows with ids from `firstId` on. */
  sql(rows: number, firstId: number): string;
  readonly lanes: readonly Pick<Lane, 'topic' | 'priority'>[];
  /** The limit of each lane. */
  readonly laneLimit: number;
  /** How many jobs a claim of 100 returns. */
  readonly claimable: number;
}

export const CLAIM_LIMIT = 100;
const TOPICS = 100;
/** Lanes with due jobs beside the other rows. */
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
    // One job of each lane, since the first lane alone would fill the claim.
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

/** The parameter of a claim of all lanes. */
export function laneJson({ lanes, laneLimit }: Filling): string {
  const input = lanes.map((lane) => ({ ...lane, lower_bound: '-infinity', lane_limit: laneLimit }));
  return JSON.stringify(input);
}

/** The parameter of a scan of all lanes. */
export function startJson({ lanes }: Filling): string {
  return JSON.stringify(lanes.map((lane) => ({ ...lane, lower_bound: '-infinity' })));
}

/** The gaps around the lanes of a filling. */
export function gapsOf(lanes: Filling['lanes']): LaneGap[] {
  return lanes.flatMap(({ topic, priority }) => [
    { topic, after: -1_001, before: priority },
    { topic, after: priority - 1, before: priority + 1 },
    { topic, after: priority, before: 1_001 },
  ]);
}
