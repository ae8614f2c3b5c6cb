import { findOrInstall } from './debian-package.js';

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
  const need = 'the tests of the admin UI need Chromium: install it, or name one in JOBS_TEST_CHROMIUM';
  return process.env.JOBS_TEST_CHROMIUM || findOrInstall({ places: PLACES, debianPackage: 'chromium', need });
}
