/** @matrix typeorm-0.3 */

import * as knownTopics from '../../../lib/store/reports/known-topics.sqlite.js';
import * as list from '../../../lib/store/lists/list.sqlite.js';
import * as counts from '../../../lib/store/reports/counts.sqlite.js';
import * as stats from '../../../lib/store/reports/reports.sqlite.js';
import { storeKinds, useStore } from '../../support/stores.js';

/** Every statement by its name, also those in a table of statements. */
const sql: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries<unknown>({ ...knownTopics, ...list, ...counts, ...stats })
    .flatMap(([name, value]): [string, unknown][] =>
      typeof value === 'object' && value !== null
        ? Object.entries(value).map(([form, text]): [string, unknown] => [`${name}, ${form}`, text])
        : [[name, value]],
    )
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    // The others are parts of statements.
    .filter(([name]) => /^[A-Z]/.test(name)),
);

const FAILED = /INDEX _jobs_listed \(topic=\? AND status=\?\)/;
const RETRYING = /INDEX _jobs_retrying \(topic=\?\)/;

/** A loose scan: each step starts at the end of the previous one. */
const TOPIC_BY_TOPIC = ['_jobs_pending', '_jobs_keyed'].flatMap((index) => [
  new RegExp(`INDEX ${index}`),
  new RegExp(`INDEX ${index} \\(topic>\\?\\)`),
]);
const byPriority = (index: string, lastStep: string): RegExp[] => [
  new RegExp(`INDEX ${index} \\(topic=\\?\\)`),
  new RegExp(`INDEX ${index} \\(topic=\\? AND priority>\\?\\)`),
  new RegExp(`INDEX ${index} \\(topic=\\? AND priority=\\? AND ${lastStep}\\)`),
];
const DUE = [
  ...byPriority('_jobs_pending', 'run_at<\\?'),
  ...byPriority('_jobs_keyed', 'flow_key=\\? AND run_at<\\?'),
  ...byPriority('_jobs_keyed', 'flow_key>\\?'),
];
const NOT_DUE = [
  ...byPriority('_jobs_pending', 'run_at>\\?'),
  ...byPriority('_jobs_keyed', 'flow_key=\\? AND run_at>\\?'),
];

/** How each statement on `_jobs` may find its rows, step by step. Lists of all jobs read the table in id order. */
const INDEXES: Readonly<Record<string, RegExp | readonly RegExp[]>> = {
  FIND_JOBS: /sqlite_autoindex__jobs_1 \(id=\?\)/,
  FIND_HOLDER: [
    /INDEX _jobs_unique_key \(topic=\? AND unique_key=\?\)/,
    /INDEX _jobs_waiting_key \(topic=\? AND waiting_key=\?\)/,
  ],
  'NEXT_TOPIC, any': /COVERING INDEX _jobs_listed \(topic>\?\)/,
  'NEXT_TOPIC, failed': /COVERING INDEX _jobs_ended \(topic>\?\)/,
  'NEXT_TOPIC, retrying': /COVERING INDEX _jobs_retrying \(topic>\?\)/,
  'RARE_IDS, failed': /COVERING INDEX _jobs_ended/,
  'RARE_IDS, cancelled': /COVERING INDEX _jobs_ended/,
  'RARE_IDS, retrying': /COVERING INDEX _jobs_retrying/,
  'RARE_IDS, processing': /INDEX _jobs_processing/,
  WAITING_TOPICS: TOPIC_BY_TOPIC,
  KNOWN_TOPICS: [/COVERING INDEX _jobs_listed \(topic>\?\)/, /INDEX _jobs_processing/],
  EXISTING_TOPICS: /COVERING INDEX _jobs_listed \(topic=\?\)/,
  DUE_IDS: DUE,
  DUE_IDS_AS_OF: DUE,
  DUE_UP_TO: DUE,
  NOT_DUE_IDS: NOT_DUE,
  NOT_DUE_IDS_AS_OF: NOT_DUE,
  NOT_DUE_UP_TO: NOT_DUE,
  RUNNING_TOPICS: /INDEX _jobs_processing/,
  HAS_FAILED: /COVERING INDEX _jobs_listed \(topic=\? AND status=\?\)/,
  HAS_MORE_THAN: /COVERING INDEX/,
  RANGE_IDS: /COVERING INDEX _jobs_listed \(topic=\? AND status=\? AND id>\? AND id<\?\)/,
  RANGE_IDS_DATED: /INDEX _jobs_listed \(topic=\? AND status=\? AND id>\? AND id<\?\)/,
  RANGE_SIZE: /COVERING INDEX _jobs_listed \(topic=\? AND status=\? AND id>\? AND id<\?\)/,
  RANGE_SIZE_DATED: /INDEX _jobs_listed \(topic=\? AND status=\? AND id>\? AND id<\?\)/,
  ENDED_IDS: /COVERING INDEX _jobs_ended \(topic=\? AND status=\? AND finished>\? AND \(finished,id\)<\(\?,\?\)\)/,
  ENDED_IDS_DATED: /INDEX _jobs_ended \(topic=\? AND status=\? AND finished>\? AND \(finished,id\)<\(\?,\?\)\)/,
  ENDED_SIZE: /COVERING INDEX _jobs_ended \(topic=\? AND status=\? AND finished>\? AND \(finished,id\)<\(\?,\?\)\)/,
  ENDED_SIZE_DATED: /INDEX _jobs_ended \(topic=\? AND status=\? AND finished>\? AND \(finished,id\)<\(\?,\?\)\)/,
  SINGLE_ENDED_IDS: /sqlite_autoindex__jobs_1 \(id=\?\)/,
  RUNNING_IDS: /INDEX _jobs_processing/,
  SEARCH_CONTENTS: /sqlite_autoindex__jobs_1 \(id=\?\)/,
  SINGLE_IDS: /sqlite_autoindex__jobs_1 \(id=\?\)/,
  ALL_IDS: /sqlite_autoindex__jobs_1 \(id>\? AND id<\?\)/,
  COUNT_ALL: /sqlite_autoindex__jobs_1 \(id>\? AND id<\?\)/,
  JOB_SUMMARIES: /sqlite_autoindex__jobs_1 \(id=\?\)/,
  'FAILED_UP_TO, failed': /COVERING INDEX _jobs_listed \(topic=\? AND status=\?\)/,
  'FAILED_UP_TO, retrying': /COVERING INDEX _jobs_retrying \(topic=\?\)/,
  'FAILED_WITH, failed': FAILED,
  'FAILED_WITH, retrying': RETRYING,
  'FAILED_TEXTS, failed': FAILED,
  'FAILED_TEXTS, retrying': RETRYING,
  'WITH_KEY, label': /sqlite_autoindex__jobs_1 \(id=\?\)/,
  'WITH_KEY, concurrencyKey': /INDEX _jobs_concurrency_key \(concurrency_key=\?\)/,
  RETRYING_IDS: /COVERING INDEX _jobs_retrying \(topic=\? AND id>\? AND id<\?\)/,
  RETRYING_IDS_DATED: /INDEX _jobs_retrying \(topic=\? AND id>\? AND id<\?\)/,
  RETRYING_SIZE: /COVERING INDEX _jobs_retrying \(topic=\? AND id>\? AND id<\?\)/,
  RETRYING_SIZE_DATED: /INDEX _jobs_retrying \(topic=\? AND id>\? AND id<\?\)/,
  PREFERRED_TOPICS: /INDEX _jobs_processing/,
  END_OF_PIECE: /COVERING INDEX _jobs_listed \(\(topic,status,id\)>\(\?,\?,\?\)/,
  COUNT_PIECE: /COVERING INDEX _jobs_listed \(\(topic,status,id\)>\(\?,\?,\?\)/,
  END_OF_RETRYING_PIECE: /COVERING INDEX _jobs_retrying \(\(topic,id\)>\(\?,\?\)/,
  COUNT_RETRYING_PIECE: /COVERING INDEX _jobs_retrying \(\(topic,id\)>\(\?,\?\)/,
  // The first and the last row.
  RECORD_WORKER: Array<RegExp>(4).fill(/^SEARCH _jobs$/),
  RUN_TIMES: /INDEX _jobs_listed \(topic=\? AND status=\?\)/,
  ERRORS: [FAILED, RETRYING],
  LAST_ERRORS: /sqlite_autoindex__jobs_1 \(id=\?\)/,
};

describe.each(storeKinds().filter(({ locksRows }) => !locksRows))('plans of reports on $label', (kind) => {
  const fixture = useStore(kind);

  /** Returns how the statement reads `_jobs`. */
  const readPlan = async (statement: string): Promise<string[]> => {
    const values: unknown[] = [];
    const text = statement.replace(/\?\d+/g, () => (values.push('[]'), '?'));
    const rows = await fixture.app.query<{ detail: string }[]>(`EXPLAIN QUERY PLAN ${text}`, values);
    return rows.map(({ detail }) => detail).filter((detail) => / _jobs( |$)/.test(detail));
  };

  it('cover every statement that reads jobs', () => {
    const statements = Object.entries(sql).filter(([, text]) => /FROM _jobs\b(?!_)/.test(text));
    expect(statements.map(([name]) => name).sort()).toEqual(Object.keys(INDEXES).sort());
  });

  it('find old statistics topic by topic after an ANALYZE of a small table', async () => {
    const plan = async (): Promise<string[]> => {
      const rows = await fixture.app.query<{ detail: string }[]>(
        `EXPLAIN QUERY PLAN ${stats.PRUNE_ROLLUP.replace('?1', '1').replace('?2', '1000')}`,
      );
      return rows.map(({ detail }) => detail).filter((detail) => /_jobs_rollup| r /.test(`${detail} `));
    };
    expect(await plan()).not.toContainEqual(expect.stringMatching(/^SCAN/));
    await fixture.sql(`INSERT INTO _jobs_rollup (topic, minute, worker) VALUES ('', '2030-01-01 00:00:00.000', 'w')`);
    await fixture.sql('ANALYZE');
    expect(await plan()).not.toContainEqual(expect.stringMatching(/^SCAN/));
  });

  it.each(Object.entries(INDEXES))('find the rows of %s by an index', async (name, expected) => {
    const steps = await readPlan(sql[name]!);
    expect(steps).toEqual([expected].flat().map((step) => expect.stringMatching(step) as string));
  });
});
