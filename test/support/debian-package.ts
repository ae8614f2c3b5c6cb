import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Test processes install one after the other: apt-get fails while another one runs. */
const LOCK = '/tmp/nestjs-jobs-apt-get.lock';

/** Arguments: the program and its package. Another process may have installed it in the meantime. */
const INSTALL = '[ -e "$1" ] || { apt-get update && apt-get install -y --no-install-recommends "$2"; }';

/** A program that tests need. */
export interface NeededProgram {
  /** Usual paths; first that of Debian. */
  readonly places: readonly string[];
  /** The package of Debian that has it. */
  readonly debianPackage: string;
  /** The message if it cannot be installed. */
  readonly need: string;
}

/** Returns the path of the program. If it is not there, installs Debian's. Waits for an installation in another process. */
export function findOrInstall({ places, debianPackage, need }: NeededProgram): string {
  if (existsSync(LOCK)) {
    execFileSync('flock', [LOCK, 'true']);
  }
  const found = places.find((path) => existsSync(path));
  if (found) {
    return found;
  }
  const debianPlace = places[0]!;
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('flock', [LOCK, 'sh', '-c', INSTALL, 'sh', debianPlace, debianPackage], { stdio: 'pipe', env });
    return debianPlace;
  } catch (error) {
    throw new Error(need, { cause: error });
  }
}
