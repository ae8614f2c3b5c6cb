import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** What the peers on PostgreSQL and Redis, and the addon of SQLite, need. */
const NEEDED = [22, 18];
const FROM_NPM = fileURLToPath(
  new URL(`newer-node/node_modules/node-24-${process.platform}-${process.arch}/bin/node`, import.meta.url),
);

/** The Node that everything runs on, the benchmark itself too: one from npm, or else the one that started it. */
export function pathOfNode() {
  if (existsSync(FROM_NPM)) return FROM_NPM;
  const [major, minor] = process.versions.node.split('.').map(Number);
  const isNewEnough = Number(major) > Number(NEEDED[0]) || (major === NEEDED[0] && Number(minor) >= Number(NEEDED[1]));
  if (isNewEnough) return process.execPath;
  throw new Error(`no Node ${NEEDED.join('.')} for ${process.platform}-${process.arch}: run the benchmark with one`);
}
