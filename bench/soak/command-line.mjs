import { parseArgs } from 'node:util';
import { contenderNamed } from '../contenders/index.mjs';

const USAGE = `npm run soak -- [options]

  --hours 1                  how long jobs are enqueued; fractions are allowed
  --contenders a,b           default ours-pg,pg-boss,graphile-worker,ours-sqlite
  --rate 1500                jobs a second
  --retention-minutes 10     how long finished jobs are kept
  --autovacuum default       or advised: with the settings of docs/performance.md
  --snapshot-minutes 0       PostgreSQL: how long another session holds a snapshot
  --snapshot-from 20         minutes from the start until this snapshot; default: in the middle of the run
  --together                 all contenders at the same time, not one after the other
  --folder /var/tmp          where the databases are created; use a disk, not memory
  --out soak.jsonl           the file to which samples are appended; default bench/soak.jsonl
  --page                     writes bench/results/soak.md and its plots from these samples, and ends`;

const CONTENDERS = 'ours-pg,pg-boss,graphile-worker,ours-sqlite';
/** Contenders that support the retries, delays and deletions of the plan. */
const BASES = ['ours', 'ours-sqlite', 'pg-boss', 'graphile-worker'];

/**
 * @typedef {object} SoakOrders
 * @property {string[]} contenders
 * @property {number} seconds
 * @property {number} rate
 * @property {number} retentionSeconds
 * @property {'default' | 'advised'} autovacuum
 * @property {number} snapshotSeconds
 * @property {number} snapshotFromSeconds from the start of the run
 * @property {boolean} together
 * @property {string | undefined} folder
 * @property {string | undefined} out
 * @property {boolean} page
 */

/** @param {string[]} args @returns {SoakOrders | undefined} `undefined`: the user asked for help */
export function readSoakOrders(args) {
  const text = { type: /** @type {const} */ ('string') };
  const flag = { type: /** @type {const} */ ('boolean'), default: false };
  const { values } = parseArgs({
    args,
    options: {
      hours: { ...text, default: '1' },
      contenders: { ...text, default: CONTENDERS },
      rate: { ...text, default: '1500' },
      'retention-minutes': { ...text, default: '10' },
      autovacuum: { ...text, default: 'default' },
      'snapshot-minutes': { ...text, default: '0' },
      'snapshot-from': text,
      folder: text,
      out: text,
      together: flag,
      page: flag,
      help: flag,
    },
  });
  if (values.help) return void console.log(USAGE);
  const { autovacuum, together, page, folder, out } = values;
  if (autovacuum !== 'default' && autovacuum !== 'advised') {
    throw new Error(`expected --autovacuum default or advised, got ${autovacuum}`);
  }
  const seconds = readPositive('hours', values.hours) * 3_600;
  const retentionSeconds = readPositive('retention-minutes', values['retention-minutes']) * 60;
  if (seconds < 3 * retentionSeconds) {
    throw new Error('expected --hours to be at least three times --retention-minutes');
  }
  const snapshotSeconds = readNumber('snapshot-minutes', values['snapshot-minutes']) * 60;
  const from = values['snapshot-from'];
  const snapshotFromSeconds =
    from === undefined ? (seconds - snapshotSeconds) / 2 : readPositive('snapshot-from', from) * 60;
  if (snapshotFromSeconds < 0 || snapshotFromSeconds + snapshotSeconds > seconds) {
    throw new Error('expected the snapshot to end before the run');
  }
  return {
    contenders: values.contenders.split(',').map(checkContender),
    seconds,
    rate: readPositive('rate', values.rate),
    retentionSeconds,
    autovacuum,
    snapshotSeconds,
    snapshotFromSeconds,
    together,
    folder,
    out,
    page,
  };
}

/** @param {string} name */
function checkContender(name) {
  const { base, adapter } = contenderNamed(name);
  if (BASES.includes(base) && !adapter.startsWith('raw')) return name;
  throw new Error(`${name} cannot take part: it has no retries`);
}

/** @param {string} name @param {string} text */
function readNumber(name, text) {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value < Infinity)) {
    throw new Error(`expected --${name} to be a number from 0, got ${text}`);
  }
  return value;
}

/** @param {string} name @param {string} text */
function readPositive(name, text) {
  const value = readNumber(name, text);
  if (value > 0) return value;
  throw new Error(`expected --${name} to be more than 0, got ${text}`);
}
