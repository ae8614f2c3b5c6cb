import { duration } from '../../core/option-checks.js';
import type { JobsEngine } from '../../engine/jobs-engine.js';
import { toField } from '../../http/requests.js';
import type { DatabaseState } from '../../store/reports/inspection.js';
import { LONG_OWED_MAX } from '../../store/reports/inspection.js';
import type { MigrationPlan } from '../../store/migrate/migrator.js';
import { formatAge, formatCount, formatJobs, formatTime } from '../format.js';
import type { Terminal } from '../terminal.js';
import { EXIT } from '../exit.js';
import { defineVerb } from '../verb.js';

/** The result of one check. */
interface Finding {
  readonly check: string;
  readonly isOk: boolean;
  readonly text: string;
  /** What to do, if the check failed. */
  readonly advice?: string;
}

/** Clocks of machines that synchronize their time differ by less. */
const CLOCK_SKEW_MAX_MS = 2_000;
/** Fewer dead rows are usual between two runs of autovacuum. */
const DEAD_ROWS_MIN = 10_000;
/** Fewer free pages are usual in a file whose jobs come and go: 10 MB. */
const FREE_PAGES_MIN = 2_500;
const NAMES_MAX = 10;
const HELD_DEFAULT_MS = 60_000;

/** Checks the database and the queue. */
export const doctor = defineVerb({
  name: 'doctor',
  summary: 'Checks the tables, the database, the topics and the schedules',
  details: [
    'Exits with 3 when a check fails. On PostgreSQL it sees the transactions of other roles only with the role pg_read_all_stats.',
  ],
  examples: ['nestjs-jobs doctor', 'nestjs-jobs doctor --json || alert'],
  fields: { heldFor: toField(duration(0), 'reports transactions that are open for longer; default 1m') },
  async run({ values: { heldFor = HELD_DEFAULT_MS }, terminal, isJson, now, open }) {
    const queue = await open();
    const { inspector } = queue;
    const findings = [checkSchema(await inspector.planMigration())];
    // Without the tables there is nothing else to read.
    if (findings[0]!.isOk) {
      const sentAt = now();
      const state = await inspector.readState(heldFor);
      const clockErrorMs = measureSkew(state.now.getTime(), sentAt, now());
      const engine = await queue.engine();
      findings.push(
        checkClock(clockErrorMs),
        ...(state.autovacuum ? [checkAutovacuum(state.autovacuum)] : []),
        checkBloat(state),
        checkSnapshots(state),
        checkFollowUps(state),
        await checkTopics(engine),
        await checkSchedules(engine),
      );
    }
    const isHealthy = findings.every(({ isOk }) => isOk);
    if (isJson) {
      const checks = findings.map(({ check, isOk, text, advice = null }) => ({ check, ok: isOk, text, advice }));
      terminal.printJson({ ok: isHealthy, checks });
    } else {
      terminal.print(terminal.paint('bold', queue.target.name));
      terminal.print();
      findings.forEach((finding) => printFinding(terminal, finding));
    }
    return isHealthy ? EXIT.DONE : EXIT.CHECK_FAILED;
  },
});

function printFinding(terminal: Terminal, { check, isOk, text, advice }: Finding): void {
  terminal.printPairs([[isOk ? 'ok  ' : 'FAIL', { text: `${check}: ${text}`, style: isOk ? undefined : 'red' }]]);
  if (advice) {
    terminal.print(`      ${advice}`);
  }
}

function checkSchema({ state, missing }: MigrationPlan): Finding {
  const check = 'schema';
  switch (state) {
    case 'current':
      return { check, isOk: true, text: 'the tables are up to date' };
    case 'behind':
      return {
        check,
        isOk: false,
        text: `migrations are missing: ${missing.join(', ')}`,
        advice: "Run 'nestjs-jobs migrate', or start the application with `migrate: true`.",
      };
    case 'damaged':
      return {
        check,
        isOk: false,
        text: 'a table or a column is missing, although _jobs_migrations says that it was created',
        advice: "Drop _jobs_migrations and run 'nestjs-jobs migrate': it creates missing tables and keeps the others.",
      };
  }
}

/** The time between question and answer counts for neither clock. */
function measureSkew(databaseMs: number, sentMs: number, receivedMs: number): number {
  return databaseMs < sentMs ? databaseMs - sentMs : Math.max(0, databaseMs - receivedMs);
}

function checkClock(skewMs: number): Finding {
  const isOk = Math.abs(skewMs) <= CLOCK_SKEW_MAX_MS;
  const direction = skewMs > 0 ? 'ahead of' : 'behind';
  return {
    check: 'clock',
    isOk,
    text: isOk
      ? 'the clocks of the database and of this machine agree'
      : `the clock of the database is ${formatAge(Math.abs(skewMs))} ${direction} the clock of this machine`,
    advice: isOk ? '' : 'Jobs are due by the clock of the database. Synchronize both clocks, for example with NTP.',
  };
}

function checkAutovacuum({ isOn, tablesWithout }: NonNullable<DatabaseState['autovacuum']>): Finding {
  const check = 'autovacuum';
  if (!isOn) {
    const advice = 'Set `autovacuum = on`: without it the table and its indexes grow with each job.';
    return { check, isOk: false, text: 'the server does not run autovacuum', advice };
  }
  if (tablesWithout.length > 0) {
    const advice = `Run: ${tablesWithout.map((table) => `ALTER TABLE ${table} RESET (autovacuum_enabled);`).join(' ')}`;
    return { check, isOk: false, text: `it is off for ${tablesWithout.join(', ')}`, advice };
  }
  return { check, isOk: true, text: 'it is on for the tables of the queue' };
}

function checkBloat({ autovacuum, space: { used, wasted } }: DatabaseState): Finding {
  const check = 'bloat';
  const isPostgres = autovacuum !== null;
  const [unit, wastedUnit] = isPostgres ? ['live rows', 'dead rows'] : ['used pages', 'free pages'];
  const text = `${formatCount(wasted)} ${wastedUnit}, ${formatCount(used)} ${unit}`;
  if (wasted < (isPostgres ? DEAD_ROWS_MIN : FREE_PAGES_MIN) || wasted <= used / 2) {
    return { check, isOk: true, text };
  }
  const advice = isPostgres
    ? 'Run `VACUUM _jobs;`. If the dead rows stay, something holds a snapshot. If they come back, let autovacuum run more often.'
    : 'Run `VACUUM;` while the application is stopped: it makes the file smaller.';
  return { check, isOk: false, text, advice };
}

function checkSnapshots({ heldSnapshots }: DatabaseState): Finding {
  const check = 'snapshots';
  if (heldSnapshots.length === 0) {
    return { check, isOk: true, text: 'nothing keeps the database from removing old rows' };
  }
  const list = heldSnapshots.map(({ holder, heldMs }) =>
    heldMs === null ? holder : `${holder}, for ${formatAge(heldMs)}`,
  );
  return {
    check,
    isOk: false,
    text: `old rows must stay because of: ${joinNames(list, '; ')}`,
    advice: 'End the transaction or drop the slot. Until then the tables grow, and claims slow down.',
  };
}

function checkFollowUps({ longOwed }: DatabaseState): Finding {
  const check = 'follow-ups';
  if (longOwed.length === 0) {
    return { check, isOk: true, text: 'the end of each job was followed up' };
  }
  const jobs = longOwed.length < LONG_OWED_MAX ? formatJobs(longOwed.length) : `at least ${formatJobs(LONG_OWED_MAX)}`;
  const names = longOwed.slice(0, NAMES_MAX).map(({ id, topic }) => `${id} of '${topic}'`);
  const others = longOwed.length > NAMES_MAX ? ', and others' : '';
  return {
    check,
    isOk: false,
    text: `the end of ${jobs} was not followed up, for ${formatAge(longOwed[0]!.owedMs)}: ${names.join(', ')}${others}`,
    advice:
      "Their children wait, and their dead letters are missing. Start a worker. If one runs, look for 'follow-up of ended jobs' in its log: the line says why the database refuses.",
  };
}

async function checkTopics(engine: JobsEngine): Promise<Finding> {
  const check = 'topics';
  const waiting = (await engine.topics.list()).filter(({ pending, hasHandler }) => pending > 0 && !hasHandler);
  if (waiting.length === 0) {
    return { check, isOk: true, text: 'each topic with waiting jobs has a handler in a live process' };
  }
  return {
    check,
    isOk: false,
    text: `no live process has a handler for ${joinNames(waiting.map(({ topic, pending }) => `'${topic}' (${formatJobs(pending)})`))}`,
    advice: 'Start a worker with a handler, correct the name of the topic, or cancel the jobs.',
  };
}

async function checkSchedules(engine: JobsEngine): Promise<Finding> {
  const check = 'schedules';
  const schedules = await engine.schedules.list();
  const orphans = schedules.filter(({ isDeclared, pausedSince }) => !isDeclared && pausedSince === null);
  if (orphans.length === 0) {
    return { check, isOk: true, text: 'a live process declares each schedule of the code' };
  }
  const names = orphans.map(
    ({ name, lastTick }) => `'${name}' (${lastTick ? `last tick ${formatTime(lastTick)}` : 'never fired'})`,
  );
  return {
    check,
    isOk: false,
    text: `no live process declares ${joinNames(names)}`,
    advice: "Start a worker that declares it, or remove it: 'nestjs-jobs schedules remove NAME'.",
  };
}

function joinNames(names: readonly string[], separator = ', '): string {
  const shown = names.slice(0, NAMES_MAX).join(separator);
  return names.length > NAMES_MAX ? `${shown}${separator}and ${names.length - NAMES_MAX} more` : shown;
}
