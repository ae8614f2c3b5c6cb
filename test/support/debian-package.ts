import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Test processes install one after the other: apt-get fails while another apt-get runs. */
const LOCK = '/tmp/nestjs-jobs-apt-get.lock';
const LOCK_SECONDS_MAX = '280';

/** Installs package $2 unless program $1 exists by now. */
const INSTALL = '[ -e "$1" ] || { apt-get update && apt-get install -y --no-install-recommends "$2"; }';

/** A program that tests need. */
export interface NeededProgram {
  /** Usual paths, Debian's first. */
  readonly places: readonly string[];
  /** Debian's package. */
  readonly debianPackage: string;
  /** The message if it cannot be installed. */
  readonly need: string;
}

/** Returns the path of the program. Installs the Debian package if it is missing. Waits for an installation in another process. */
export function findOrInstall({ places, debianPackage, need }: NeededProgram): string {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const runLocked = (...command: string[]): unknown =>
    execFileSync('flock', ['-w', LOCK_SECONDS_MAX, LOCK, ...command], { stdio: 'pipe', env });
  try {
    if (existsSync(LOCK)) {
      runLocked('true');
    }
    const found = places.find((path) => existsSync(path));
    if (found) {
      return found;
    }
    const debianPlace = places[0]!;
    runLocked('sh', '-c', INSTALL, 'sh', debianPlace, debianPackage);
    return debianPlace;
  } catch (error) {
    throw new Error(need, { cause: error });
  }
}
