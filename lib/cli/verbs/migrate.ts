import type { MigrationPlan } from '../../store/migrate/migrator.js';
import { EXIT } from '../exit.js';
import { defineVerb } from '../verb.js';

const TEXTS: Readonly<Record<MigrationPlan['state'], string>> = {
  current: 'the tables are up to date',
  behind: 'the tables are behind',
  damaged: 'a table or a column is missing, although _jobs_migrations says that it was created',
};

/** Creates and upgrades the tables. */
export const migrate = defineVerb({
  name: 'migrate',
  summary: 'Creates and upgrades the tables of the queue',
  details: [
    'The application does the same when it starts, unless its option `migrate` is false. The role of the URL needs the right to ' +
      'create tables.',
  ],
  examples: [
    'nestjs-jobs migrate --url postgres://owner@localhost/shop',
    'nestjs-jobs migrate --dry-run > upgrade.sql',
    'nestjs-jobs migrate --check   # in CI: exits with 3 when the tables are behind',
  ],
  fields: {},
  switches: {
    'dry-run': 'print the SQL that would run',
    check: 'change nothing; exit with 3 when the tables are behind',
  },
  async run(call) {
    const queue = await call.open();
    const plan = await queue.inspector.planMigration();
    const isCheck = call.isOn('check');
    const isReadOnly = isCheck || call.isOn('dry-run');
    if (!isReadOnly) {
      // For damaged tables this throws an error that says what to do.
      await queue.migrate();
    }
    if (call.isJson) {
      const { state, missing, statements } = plan;
      call.terminal.printJson(isReadOnly ? { state, missing, statements } : { state: 'current', applied: missing });
    } else {
      call.terminal.print(call.isOn('dry-run') ? toScript(plan) : toText(plan, isReadOnly));
    }
    return isCheck && plan.state !== 'current' ? EXIT.CHECK_FAILED : EXIT.DONE;
  },
});

function toText({ state, missing }: MigrationPlan, isReadOnly: boolean): string {
  const names = missing.join(', ');
  if (!isReadOnly && names) {
    return `applied ${names}`;
  }
  return names ? `${TEXTS[state]}; missing: ${names}` : TEXTS[state];
}

function toScript({ state, statements }: MigrationPlan): string {
  return statements.length === 0
    ? `-- ${TEXTS[state]}`
    : ['BEGIN', ...statements.map((statement) => statement.trim()), 'COMMIT'].map((each) => `${each};`).join('\n\n');
}
