import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { Dice } from '../dice.js';
import { history, onTermination, reportReady, settings } from './member-settings.js';

const HOLD_MAX_MS = 150;
const PAUSE_MAX_MS = 400;

/** Another program that writes to the same file, and takes its time. */
async function main(): Promise<void> {
  const dice = new Dice(settings.seed);
  const database = new Database((settings.database as { database: string }).database, { timeout: 0 });
  let isEnding = false;
  const work = async (): Promise<void> => {
    while (!isEnding) {
      await holdLock(database, dice.whole(1, HOLD_MAX_MS));
      await sleep(dice.whole(0, PAUSE_MAX_MS));
    }
    database.close();
  };
  const ended = work();
  onTermination(() => {
    isEnding = true;
    return ended;
  });
  reportReady();
}

async function holdLock(database: Database.Database, ms: number): Promise<void> {
  try {
    database.exec('BEGIN IMMEDIATE');
  } catch (error) {
    if ((error as { code?: string }).code !== 'SQLITE_BUSY') throw error;
    history.write({ kind: 'busy' });
    return;
  }
  history.write({ kind: 'locked' });
  database.exec(`INSERT INTO noise VALUES (datetime('now'))`);
  await sleep(ms);
  database.exec('COMMIT');
}

void main();
