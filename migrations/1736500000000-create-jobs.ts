import type { Migration, MigrationRunner } from './migration.js';

/**
 * Creates the tables of the queue. Edited in place until the first release; later changes are migrations of their own.
 * Each step skips objects that exist: the application and the queue may both run it, under different migrations tables.
 */
export class CreateJobs1736500000000 implements Migration {
  readonly name = 'CreateJobs1736500000000';

  async up(runner: MigrationRunner): Promise<void> {
    for (const statement of stepsFor(runner)) {
      await runner.query(statement);
    }
  }

  async down(runner: MigrationRunner): Promise<void> {
    for (const table of [
      '_jobs_meta',
      '_jobs_counts',
      '_jobs_logs',
      '_jobs_labels',
      '_jobs_links',
      '_jobs_groups',
      '_jobs_starts',
      '_jobs_definitions',
      '_jobs_schedules',
      '_jobs_topics',
      '_jobs_workers',
      '_jobs_rollup',
      '_jobs',
    ]) {
      await runner.query(`DROP TABLE IF EXISTS ${table}`);
    }
  }
}

function stepsFor(runner: MigrationRunner): readonly string[] {
  const { type } = runner.connection.options;
  if (type === 'postgres') {
    return [...postgresTables, ...metaTable('gen_random_uuid()::text'), ...indexes, postgresLabels];
  }
  if (type === 'better-sqlite3' || type === 'sqlite') {
    return [...sqliteTables, ...metaTable('lower(hex(randomblob(16)))'), ...indexes, ...sqliteLabels];
  }
  throw new Error(`expected a PostgreSQL or SQLite database, got ${type}`);
}

/**
 * Two constraints check everything: PostgreSQL parses the text of each one for every statement that writes, and evaluates all
 * of them for every row. Six constraints cost 10 % of an insert.
 */
const jobChecks = `CONSTRAINT _jobs_status_check CHECK (CASE
      WHEN status = 'pending' THEN locked_until IS NULL AND finished IS NULL
      WHEN status = 'processing' THEN locked_until IS NOT NULL AND finished IS NULL
      WHEN status IN ('completed', 'failed', 'cancelled') THEN locked_until IS NULL AND finished IS NOT NULL
      ELSE false END),
    CONSTRAINT _jobs_limits_check CHECK (length(topic) BETWEEN 1 AND 255 AND retries >= 0
      AND max_retries BETWEEN 0 AND 1000 AND priority BETWEEN -1000 AND 1000)`;

const postgresTables = [
  `CREATE TABLE IF NOT EXISTS _jobs (
    id uuid NOT NULL CONSTRAINT _jobs_pkey PRIMARY KEY,
    topic text NOT NULL,
    payload jsonb NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    run_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    locked_until timestamptz,
    locked_by text,
    attempt integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0,
    max_retries integer NOT NULL DEFAULT 3,
    priority smallint NOT NULL DEFAULT 0,
    timeout_ms bigint,
    backoff jsonb,
    last_error text,
    errors jsonb,
    result jsonb,
    progress jsonb,
    steps jsonb,
    unique_key text,
    idempotency_key text,
    body_hash text,
    metadata jsonb,
    cancel_requested boolean NOT NULL DEFAULT false,
    started timestamptz,
    finished timestamptz,
    created timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated timestamptz NOT NULL DEFAULT statement_timestamp(),
    unstarted_attempt integer,
    concurrency_key text COLLATE "C",
    flow_key text COLLATE "C",
    waiting_key text,
    unique_until timestamptz,
    debounce_until timestamptz,
    watched smallint,
    expires_at timestamptz,
    actions jsonb,
    rescued_attempt integer,
    ended_by text,
    labels text[],
    ${jobChecks}
  )`,
  `CREATE TABLE IF NOT EXISTS _jobs_rollup (
    minute timestamptz NOT NULL,
    topic text NOT NULL,
    worker text NOT NULL,
    completed integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    attempts_failed integer NOT NULL DEFAULT 0,
    started integer NOT NULL DEFAULT 0,
    run_ms double precision NOT NULL DEFAULT 0,
    wait_ms double precision NOT NULL DEFAULT 0,
    run_histogram jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT _jobs_rollup_pkey PRIMARY KEY (topic, minute, worker)
  )`,
  `CREATE TABLE IF NOT EXISTS _jobs_workers (
    worker text NOT NULL CONSTRAINT _jobs_workers_pkey PRIMARY KEY,
    topics jsonb NOT NULL,
    details jsonb NOT NULL,
    seen timestamptz NOT NULL
  )`,
  `CREATE TABLE IF NOT EXISTS _jobs_topics (
    topic text NOT NULL CONSTRAINT _jobs_topics_pkey PRIMARY KEY,
    paused_since timestamptz,
    limit_total integer,
    limit_key integer,
    rate_limit integer,
    rate_ms bigint,
    rate_by_key boolean NOT NULL DEFAULT false,
    rate_spread boolean NOT NULL DEFAULT false,
    key_cursor text COLLATE "C" NOT NULL DEFAULT '',
    is_limited boolean NOT NULL DEFAULT false,
    code_limits jsonb,
    operator_limits jsonb,
    retention jsonb,
    dead_letters jsonb
  ) WITH (fillfactor = 50)`,
  `CREATE TABLE IF NOT EXISTS _jobs_starts (
    topic text NOT NULL,
    key text COLLATE "C" NOT NULL,
    rate_ms bigint NOT NULL,
    slice bigint NOT NULL,
    starts integer NOT NULL,
    latest double precision NOT NULL,
    CONSTRAINT _jobs_starts_pkey PRIMARY KEY (topic, key, rate_ms, slice)
  ) WITH (fillfactor = 70)`,
  `CREATE TABLE IF NOT EXISTS _jobs_schedules (
    name text NOT NULL CONSTRAINT _jobs_schedules_pkey PRIMARY KEY,
    definition jsonb NOT NULL,
    source text NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    next_tick timestamptz(3),
    last_tick timestamptz(3),
    last_job_id uuid,
    paused_since timestamptz,
    created timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated timestamptz NOT NULL DEFAULT statement_timestamp()
  ) WITH (fillfactor = 50)`,
  // What the code of processes declares: each version of a schedule, and of a topic's limits, retention and dead letters.
  `CREATE TABLE IF NOT EXISTS _jobs_definitions (
    kind text NOT NULL,
    name text NOT NULL,
    hash text NOT NULL,
    definition jsonb NOT NULL,
    first_seen timestamptz NOT NULL,
    declared timestamptz NOT NULL,
    CONSTRAINT _jobs_definitions_pkey PRIMARY KEY (kind, name, hash)
  ) WITH (fillfactor = 50)`,
  `CREATE TABLE IF NOT EXISTS _jobs_links (
    parent_id uuid NOT NULL,
    child_id uuid NOT NULL,
    mode text NOT NULL,
    position integer NOT NULL,
    ref text,
    run_at timestamptz,
    holds boolean NOT NULL DEFAULT false,
    outcome text,
    CONSTRAINT _jobs_links_pkey PRIMARY KEY (parent_id, child_id)
  )`,
  `CREATE TABLE IF NOT EXISTS _jobs_groups (
    id uuid NOT NULL CONSTRAINT _jobs_groups_pkey PRIMARY KEY,
    name text,
    created_by text,
    created timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated timestamptz NOT NULL DEFAULT statement_timestamp(),
    finished timestamptz,
    is_failing boolean NOT NULL DEFAULT false
  )`,
  // Without a foreign key: its trigger costs each deleted job a statement. `TableSweepers` deletes the lines of jobs that are gone.
  `CREATE TABLE IF NOT EXISTS _jobs_logs (
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    line integer NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    data jsonb,
    time timestamptz NOT NULL,
    CONSTRAINT _jobs_logs_pkey PRIMARY KEY (job_id, attempt, line)
  )`,
  // One row: the last full count, when it began, and how long it took. While a process counts, claimed_until is in the future.
  `CREATE TABLE IF NOT EXISTS _jobs_counts (
    id integer NOT NULL CONSTRAINT _jobs_counts_pkey PRIMARY KEY,
    counts jsonb NOT NULL,
    counted timestamptz NOT NULL,
    took_ms double precision NOT NULL,
    claimed_until timestamptz NOT NULL
  ) WITH (fillfactor = 50)`,
];

/** Times in SQLite have one fixed width, so that text order is time order. GLOB has no quantifiers. */
function timeCheck(column: string): string {
  const digits = (count: number): string => '[0-9]'.repeat(count);
  const form = `${digits(4)}-${digits(2)}-${digits(2)} ${digits(2)}:${digits(2)}:${digits(2)}.${digits(3)}`;
  return `CONSTRAINT _jobs_${column}_check CHECK (${column} GLOB '${form}')`;
}

const sqliteNow = `(strftime('%Y-%m-%d %H:%M:%f', 'now'))`;

const sqliteTables = [
  `CREATE TABLE IF NOT EXISTS _jobs (
    id text NOT NULL CONSTRAINT _jobs_pkey PRIMARY KEY,
    topic text NOT NULL,
    payload text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    run_at datetime NOT NULL DEFAULT ${sqliteNow},
    locked_until datetime,
    locked_by text,
    attempt integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0,
    max_retries integer NOT NULL DEFAULT 3,
    priority integer NOT NULL DEFAULT 0,
    timeout_ms integer,
    backoff text,
    last_error text,
    errors text,
    result text,
    progress text,
    steps text,
    unique_key text,
    idempotency_key text,
    body_hash text,
    metadata text,
    cancel_requested boolean NOT NULL DEFAULT 0,
    started datetime,
    finished datetime,
    created datetime NOT NULL DEFAULT ${sqliteNow},
    updated datetime NOT NULL DEFAULT ${sqliteNow},
    unstarted_attempt integer,
    concurrency_key text,
    flow_key text,
    waiting_key text,
    unique_until datetime,
    debounce_until datetime,
    watched integer,
    expires_at datetime,
    actions text,
    rescued_attempt integer,
    ended_by text,
    labels text,
    ${jobChecks},
    CONSTRAINT _jobs_json_check CHECK (json_valid(payload)
      AND ${['backoff', 'errors', 'result', 'progress', 'metadata'].map((column) => `json_valid(coalesce(${column}, 'null'))`).join(' AND ')}),
    ${['run_at', 'locked_until', 'started', 'finished', 'created', 'updated'].map(timeCheck).join(',\n    ')}
  )`,
  `CREATE TABLE IF NOT EXISTS _jobs_rollup (
    minute datetime NOT NULL,
    topic text NOT NULL,
    worker text NOT NULL,
    completed integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0,
    attempts_failed integer NOT NULL DEFAULT 0,
    started integer NOT NULL DEFAULT 0,
    run_ms real NOT NULL DEFAULT 0,
    wait_ms real NOT NULL DEFAULT 0,
    run_histogram text NOT NULL DEFAULT '{}',
    CONSTRAINT _jobs_rollup_pkey PRIMARY KEY (topic, minute, worker)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_workers (
    worker text NOT NULL CONSTRAINT _jobs_workers_pkey PRIMARY KEY,
    topics text NOT NULL,
    details text NOT NULL,
    seen datetime NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_topics (
    topic text NOT NULL CONSTRAINT _jobs_topics_pkey PRIMARY KEY,
    paused_since datetime,
    limit_total integer,
    limit_key integer,
    rate_limit integer,
    rate_ms integer,
    rate_by_key boolean NOT NULL DEFAULT 0,
    rate_spread boolean NOT NULL DEFAULT 0,
    key_cursor text NOT NULL DEFAULT '',
    is_limited boolean NOT NULL DEFAULT 0,
    code_limits text,
    operator_limits text,
    retention text,
    dead_letters text
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_starts (
    topic text NOT NULL,
    key text NOT NULL,
    rate_ms integer NOT NULL,
    slice integer NOT NULL,
    starts integer NOT NULL,
    latest real NOT NULL,
    CONSTRAINT _jobs_starts_pkey PRIMARY KEY (topic, key, rate_ms, slice)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_schedules (
    name text NOT NULL CONSTRAINT _jobs_schedules_pkey PRIMARY KEY,
    definition text NOT NULL,
    source text NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    next_tick datetime,
    last_tick datetime,
    last_job_id text,
    paused_since datetime,
    created datetime NOT NULL DEFAULT ${sqliteNow},
    updated datetime NOT NULL DEFAULT ${sqliteNow}
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_definitions (
    kind text NOT NULL,
    name text NOT NULL,
    hash text NOT NULL,
    definition text NOT NULL,
    first_seen datetime NOT NULL,
    declared datetime NOT NULL,
    CONSTRAINT _jobs_definitions_pkey PRIMARY KEY (kind, name, hash)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_links (
    parent_id text NOT NULL,
    child_id text NOT NULL,
    mode text NOT NULL,
    position integer NOT NULL,
    ref text,
    run_at datetime,
    holds boolean NOT NULL DEFAULT 0,
    outcome text,
    CONSTRAINT _jobs_links_pkey PRIMARY KEY (parent_id, child_id)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_groups (
    id text NOT NULL CONSTRAINT _jobs_groups_pkey PRIMARY KEY,
    name text,
    created_by text,
    created datetime NOT NULL DEFAULT ${sqliteNow},
    updated datetime NOT NULL DEFAULT ${sqliteNow},
    finished datetime,
    is_failing boolean NOT NULL DEFAULT 0
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_logs (
    job_id text NOT NULL,
    attempt integer NOT NULL,
    line integer NOT NULL,
    level text NOT NULL,
    message text NOT NULL,
    data text,
    time datetime NOT NULL,
    CONSTRAINT _jobs_logs_pkey PRIMARY KEY (job_id, attempt, line)
  ) WITHOUT ROWID`,
  `CREATE TABLE IF NOT EXISTS _jobs_counts (
    id integer NOT NULL CONSTRAINT _jobs_counts_pkey PRIMARY KEY,
    counts text NOT NULL,
    counted datetime NOT NULL,
    took_ms real NOT NULL,
    claimed_until datetime NOT NULL
  )`,
];

/** Values of the queue as a whole. `id` tells its database from others. @param randomId as SQL. */
const metaTable = (randomId: string): readonly string[] => [
  `CREATE TABLE IF NOT EXISTS _jobs_meta (
    name text NOT NULL CONSTRAINT _jobs_meta_pkey PRIMARY KEY,
    value text NOT NULL
  )`,
  `INSERT INTO _jobs_meta (name, value) VALUES ('id', ${randomId}) ON CONFLICT DO NOTHING`,
];

const indexes = [
  `CREATE INDEX IF NOT EXISTS _jobs_pending ON _jobs (topic, priority, run_at)
    WHERE status = 'pending' AND concurrency_key IS NULL`,
  // The test for NULL comes first: a job without a key or a limit fails it, and PostgreSQL compares no text.
  `CREATE INDEX IF NOT EXISTS _jobs_keyed ON _jobs (topic, priority, flow_key, run_at)
    WHERE concurrency_key IS NOT NULL AND status = 'pending'`,
  `CREATE INDEX IF NOT EXISTS _jobs_concurrency_key ON _jobs (concurrency_key, id) WHERE concurrency_key IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS _jobs_running ON _jobs (topic, flow_key, locked_until)
    WHERE flow_key IS NOT NULL AND locked_until IS NOT NULL`,
  // A row with `waiting_key` has the same `unique_key`. Its claim takes the key out of the index, unless `unique_until` keeps it there.
  `CREATE UNIQUE INDEX IF NOT EXISTS _jobs_waiting_key ON _jobs (topic, waiting_key)
    WHERE waiting_key IS NOT NULL AND (status = 'pending' AND attempt = 0 OR unique_until IS NOT NULL)`,
  `CREATE INDEX IF NOT EXISTS _jobs_processing ON _jobs (locked_until) WHERE status = 'processing'`,
  `CREATE INDEX IF NOT EXISTS _jobs_expiring ON _jobs (expires_at) WHERE expires_at IS NOT NULL AND status = 'pending'`,
  // Inserts and first attempts fail the first test. With the last two columns SQLite counts without reading rows.
  `CREATE INDEX IF NOT EXISTS _jobs_retrying ON _jobs (topic, id, retries, status) WHERE retries > 0 AND status = 'pending'`,
  // Without completed jobs: they would make it a tenth of the cost of a completion. Their rows fail the second test.
  `CREATE INDEX IF NOT EXISTS _jobs_ended ON _jobs (topic, status, finished, id) WHERE finished IS NOT NULL AND status <> 'completed'`,
  `CREATE INDEX IF NOT EXISTS _jobs_listed ON _jobs (topic, status, id) WHERE status <> 'processing'`,
  `CREATE UNIQUE INDEX IF NOT EXISTS _jobs_unique_key ON _jobs (topic, unique_key)
    WHERE unique_key IS NOT NULL AND waiting_key IS NULL AND (status IN ('pending', 'processing') OR unique_until IS NOT NULL)`,
  `CREATE UNIQUE INDEX IF NOT EXISTS _jobs_idempotency_key ON _jobs (idempotency_key) WHERE idempotency_key IS NOT NULL`,
  `CREATE INDEX IF NOT EXISTS _jobs_links_child ON _jobs_links (child_id, parent_id)`,
  `CREATE INDEX IF NOT EXISTS _jobs_groups_unfinished ON _jobs_groups (id) WHERE finished IS NULL`,
  // One entry for each job that waits for parents, and for each unfinished group.
  `CREATE INDEX IF NOT EXISTS _jobs_links_holds ON _jobs_links (parent_id, child_id) WHERE holds`,
  // Ended jobs that owe a follow-up: nearly always empty. Jobs without children or dead letters fail the first test.
  `CREATE INDEX IF NOT EXISTS _jobs_owed ON _jobs (finished, id) WHERE watched IS NOT NULL AND finished IS NOT NULL
    AND (watched = 1 OR watched = 3 OR watched = 4 OR (watched = 0 AND status <> 'completed'))`,
];

/** PostgreSQL finds jobs by label in an index of all labels. A job without labels is not in it. */
const postgresLabels = `CREATE INDEX IF NOT EXISTS _jobs_labelled ON _jobs USING gin (labels) WHERE labels IS NOT NULL`;

/** SQLite has no such index: triggers keep a table of labels. They run for jobs with labels only. */
const sqliteLabels = [
  `CREATE TABLE IF NOT EXISTS _jobs_labels (
    label text NOT NULL,
    job_id text NOT NULL,
    CONSTRAINT _jobs_labels_pkey PRIMARY KEY (label, job_id)
  ) WITHOUT ROWID`,
  `CREATE TRIGGER IF NOT EXISTS _jobs_labels_insert AFTER INSERT ON _jobs WHEN NEW.labels IS NOT NULL BEGIN
    INSERT INTO _jobs_labels (label, job_id) SELECT value, NEW.id FROM json_each(NEW.labels);
  END`,
  `CREATE TRIGGER IF NOT EXISTS _jobs_labels_delete AFTER DELETE ON _jobs WHEN OLD.labels IS NOT NULL BEGIN
    DELETE FROM _jobs_labels WHERE job_id = OLD.id AND label IN (SELECT value FROM json_each(OLD.labels));
  END`,
];
