import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Usual paths of the program. */
const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/snap/bin/chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/**
 * The browser of the UI's tests: the one that JOBS_TEST_CHROMIUM names, else one that is there, else Debian's, which is
 * installed now.
 */
export function findChromium(): string {
  const given = process.env.JOBS_TEST_CHROMIUM;
  if (given) return given;
  const found = PLACES.find((path) => existsSync(path));
  return found ?? installChromium();
}

function installChromium(): string {
  try {
    const options = { stdio: 'pipe', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const;
    execFileSync('apt-get', ['update'], options);
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], options);
    return PLACES[0]!;
  } catch (error) {
    const need = 'the tests of the admin UI need Chromium: install it, or name one in JOBS_TEST_CHROMIUM';
    throw new Error(need, { cause: error });
  }
}
