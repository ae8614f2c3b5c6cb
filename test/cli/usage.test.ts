import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readArguments } from '../../lib/cli/arguments.js';
import { VERBS } from '../../lib/cli/verbs/index.js';
import { readTarget } from '../../lib/cli/connection.js';
import { LIST } from '../../lib/http/requests.js';
import { VERSION } from '../../lib/core/version.js';
import { runCommand } from './support/command.js';

const SECRET = 'p4ss/w:rd';

describe('help', () => {
  it('lists every verb', async () => {
    const { code, out } = await runCommand(['--help']);
    expect(code).toBe(0);
    for (const { name, summary } of VERBS) {
      expect(out).toMatch(new RegExp(`${name} +${summary}`));
    }
  });

  it('is the answer to a command without a verb, with exit code 2', async () => {
    const { code, out } = await runCommand([]);
    expect(code).toBe(2);
    expect(out).toContain('Usage');
  });

  it.each(VERBS.map(({ name }) => name))('describes %s with all its options', async (name) => {
    const { code, out } = await runCommand([...name.split(' '), '--help']);
    const { summary, switches = {} } = VERBS.find((verb) => verb.name === name)!;
    expect(code).toBe(0);
    expect(out).toContain(summary);
    for (const each of [...Object.keys(switches), 'url', 'schema', 'json', 'yes']) {
      expect(out).toContain(`--${each}`);
    }
    expect(await runCommand(['help', ...name.split(' ')])).toEqual({ code, out, err: '' });
  });

  it('of list has the filter of the HTTP API', async () => {
    const { out } = await runCommand(['list', '--help']);
    for (const name of Object.keys(LIST)) {
      expect(out).toContain(`--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} `);
    }
  });

  it('prints the version', async () => {
    expect(await runCommand(['--version'])).toEqual({ code: 0, out: `${VERSION}\n`, err: '' });
  });

  it.each([
    ['a terminal', true, {}, true],
    ['a terminal and NO_COLOR', true, { NO_COLOR: '1' }, false],
    ['a pipe', false, {}, false],
  ])('on %s uses colours: %s', async (_, isTerminal, env, isColoured) => {
    const { out } = await runCommand(['--help'], { isTerminal, env });
    expect(out.includes('\x1b[')).toBe(isColoured);
  });
});

describe('documented commands', () => {
  const page = readFileSync(join(__dirname, '../../docs/guide/command-line.md'), 'utf8');
  const documented = [...page.matchAll(/^(?:\$ )?npx (nestjs-jobs .*)$/gm)].map(([, command]) => command!);
  const examples = VERBS.flatMap(({ examples: own = [] }) => own);

  it.each([...new Set([...documented, ...examples])])('%s', (command) => {
    const [line] = command.split(/ +#| >|  *\|\|/);
    const words = [...line!.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c!).slice(1);
    const verb =
      VERBS.find(({ name }) => name === words.slice(0, 2).join(' ')) ?? VERBS.find(({ name }) => name === words[0])!;
    expect(() => readArguments(verb, words)).not.toThrow();
  });

  it('include every verb and every switch', () => {
    for (const { name, switches = {} } of VERBS) {
      const [verb, action] = name.split(' ');
      expect(page).toMatch(new RegExp(`\`${verb}[ \`]`));
      expect(page).toContain(action ?? verb);
      Object.keys(switches).forEach((each) => expect(page).toContain(`--${each}`));
    }
  });
});

describe('a wrong command line ends with 2 and names the mistake:', () => {
  const url = ['--url', 'sqlite:there-is-no-such-file.sqlite'];

  it.each([
    [['lst'], "there is no verb 'lst'; did you mean 'list'?"],
    [['schedules', 'shw'], "there is no verb 'schedules shw'; did you mean 'show'?"],
    [['list', '--tpoic', 'mail'], "list has no option --tpoic; did you mean '--topic'?"],
    [['limits', 'set', 'mail', '--spread'], "limits set has no option --spread; did you mean '--rate-spread'?"],
    [['list', '--status', 'faild'], "--status: expected 'pending'"],
    [['list', '--limit', 'many'], '--limit: expected a whole number from 1 to 200'],
    [['list', '--limit', '5', '--limit', '6'], '--limit is given more than once'],
    [['list', '--created-from', 'yesterday'], '--created-from: expected ISO 8601 text'],
    [['list', '--topic'], '--topic needs a value'],
    [['list', '--topic', '--json'], "--topic needs a value; if it is '--json', write --topic=--json"],
    [['list', '--json=yes'], '--json takes no value'],
    [['list', 'mail'], "list takes no argument, got 'mail'"],
    [['show'], 'show needs ID'],
    [['show', 'a', 'b'], 'show takes ID, got 2 arguments'],
    [['pause', 'mail', '--dry-run'], 'pause has no option --dry-run'],
    [['delete'], 'delete needs either ids or a filter'],
    [['delete', 'a', '--status', 'failed'], 'got both'],
    [['requeue', '--status', 'failed', '--payload', '{}'], 'payload, run-at and max-retries change one job'],
    [['requeue', 'a', '--payload', '{'], '--payload: expected JSON'],
    [['prune', '--older-than', 'long'], '--older-than: expected a duration'],
  ])('%j', async (args, message) => {
    const { code, out, err } = await runCommand([...args, ...url]);
    expect(err).toContain(message);
    expect(err).toContain('--help');
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });

  it.each([
    [[], {}, 'no database: pass --url or set DATABASE_URL'],
    [
      ['--url', 'jobs.sqlite'],
      {},
      "--url: expected 'postgres://user@host/database' or 'sqlite:path/to/file'; did you mean 'sqlite:jobs.sqlite'?",
    ],
    [[], { DATABASE_URL: 'mysql://localhost/x' }, 'DATABASE_URL: expected'],
    [['--url', 'sqlite::memory:'], {}, 'a database in memory belongs to its process'],
    [['--url', 'sqlite:a.sqlite', '--schema', 'app'], {}, '--schema: SQLite has no schemas'],
    [['--url', `postgres://app:${SECRET}@:bad/x`], {}, 'not a valid URL'],
  ])('the database %j %j', async (args, env, message) => {
    const { code, err } = await runCommand(['status', ...args], { env });
    expect(err).toContain(message);
    expect(err).not.toContain(SECRET);
    expect(code).toBe(2);
  });
});

it('an unreachable database ends with 1, and no output has its password', async () => {
  const password = encodeURIComponent(SECRET);
  const url = `postgres://app:${password}@127.0.0.1:1/shop?password=${password}`;
  const { code, out, err } = await runCommand(['status'], { env: { DATABASE_URL: url } });
  expect({ code, out }).toEqual({ code: 1, out: '' });
  expect(err).toContain('ECONNREFUSED');
  for (const secret of [SECRET, password, url]) {
    expect(err).not.toContain(secret);
  }
});

it('the name of a database has no password', () => {
  const { name, secrets } = readTarget(`postgres://app:${encodeURIComponent(SECRET)}@db:5433/shop`, undefined, {});
  expect(name).toBe('PostgreSQL, db:5433/shop');
  expect(secrets).toEqual(expect.arrayContaining([SECRET, encodeURIComponent(SECRET)]));
});
