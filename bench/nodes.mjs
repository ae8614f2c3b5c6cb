import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What the peers on PostgreSQL and Redis need. */
const NEEDED = [22, 18];
const FROM_NPM = fileURLToPath(
  new URL(`newer-node/node_modules/node-24-${process.platform}-${process.arch}/bin/node`, import.meta.url),
);

/**
 * The Node that a contender runs on. `newer` is one from npm, for everybody on PostgreSQL and Redis: two of the peers do
 * not run on older ones. SQLite stays with `this` Node, for which its addon was compiled.
 *
 * @param {'this' | 'newer'} which
 */
export function pathOfNode(which) {
  if (which === 'this') return process.execPath;
  if (existsSync(FROM_NPM)) return FROM_NPM;
  const [major, minor] = process.versions.node.split('.').map(Number);
  const isNewEnough = Number(major) > Number(NEEDED[0]) || (major === NEEDED[0] && Number(minor) >= Number(NEEDED[1]));
  if (isNewEnough) return process.execPath;
  throw new Error(`no Node ${NEEDED.join('.')} for ${process.platform}-${process.arch}: run the benchmark with one`);
}

/** @param {'this' | 'newer'} which */
export function versionOfNode(which) {
  return execFileSync(pathOfNode(which), ['--version'], { encoding: 'utf8' }).trim();
}
