import { randomFillSync } from 'node:crypto';

/** Random bytes for this many ids at a time: one call for each id would take longer than the rest. */
const IDS_AT_A_TIME = 256;
const RANDOM_BYTES = 10;
/** The counter begins below this, so that a million ids fit into a millisecond. */
const COUNTER_START_MAX = 2 ** 31;
const COUNTER_MAX = 2 ** 32 - 1;

const random = Buffer.alloc(IDS_AT_A_TIME * RANDOM_BYTES);
const bytes = Buffer.alloc(16);
let next = random.length;
let lastMs = 0;
let counter = 0;

/**
 * Returns a UUID of version 7: a time, a counter of 32 bits and 42 random bits. Each is greater than the one before in this process,
 * also when the clock is set back.
 */
export function createId(): string {
  if (next === random.length) {
    randomFillSync(random);
    next = 0;
  }
  const now = Date.now();
  if (now > lastMs) {
    lastMs = now;
    counter = random.readUInt32BE(next) % COUNTER_START_MAX;
  } else if (counter === COUNTER_MAX) {
    lastMs += 1;
    counter = 0;
  } else {
    counter += 1;
  }
  bytes.writeUIntBE(lastMs, 0, 6);
  // 4 bits of version and 12 of the counter, then 2 bits of variant and 14 of the counter, then 6 of it and random ones.
  bytes.writeUInt16BE(0x7000 | (counter >>> 20), 6);
  bytes.writeUInt16BE(0x8000 | ((counter >>> 6) & 0x3fff), 8);
  random.copy(bytes, 10, next + 4, next + RANDOM_BYTES);
  bytes[10] = ((counter & 0x3f) << 2) | (bytes[10]! & 0x03);
  next += RANDOM_BYTES;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
