import { setTimeout as sleep } from 'node:timers/promises';
import type { JobsEngine, JobStore } from 'nestjs-jobs';
import { JobsError } from 'nestjs-jobs';
import { Dice } from '../dice.js';
import { history, onTermination, openApplication, reportReady, settings } from './member-settings.js';
import type { Exports } from '../mutants/mutant.js';
import { built } from '../mutants/mutant.js';
import { DIE_BEFORE_FOLLOW_UP, VERSIONED, versionPattern } from '../protocol.js';
import { Tasks } from './tasks.js';

const REQUEUE_PAUSE_MS = 300;
/** So many of these claims return late, and so late. */
const DELAYED_SHARE = 0.2;
const DELAYS_MS = [30, 250] as const;
/** How long the handler of a schedule's job works. */
const SCHEDULED_WORK_MS = 20;

/** A worker that also puts failed jobs of the topic `fragile` back, as an operator would. */
async function main(): Promise<void> {
  const application = await openApplication(settings.options);
  const { app, engine, store } = application;
  if (settings.isLimited) delayClaims(store);
  new Tasks(app, history, settings).register(engine);
  for (let count = 0; count < settings.schedules; count += 1) {
    engine.declareSchedule(`every-second-${count}`, '* * * * * *', {
      topic: 'complete_tx',
      payload: { ms: SCHEDULED_WORK_MS, obeys: false },
      missed: 'all',
    });
  }
  if (settings.version > 0) {
    engine.declareSchedule(VERSIONED, versionPattern(settings.version), { topic: VERSIONED });
  }
  await engine.start();
  let isEnding = false;
  onTermination(async () => {
    isEnding = true;
    await application.close();
  });
  process.on('message', (message) => message === DIE_BEFORE_FOLLOW_UP && dieBeforeFollowUp());
  reportReady();
  while (!isEnding) {
    await requeueFailed(engine).catch(endUnlessOfQueue);
    await sleep(REQUEUE_PAUSE_MS);
  }
}

/** Holds back the results of some claims that a rate has counted, as a busy machine does. */
function delayClaims(store: JobStore): void {
  const dice = new Dice(settings.seed);
  const claim = store.claim.bind(store);
  store.claim = async (request) => {
    const result = await claim(request);
    if (result.claims.length > 0 && result.start && dice.chance(DELAYED_SHARE)) {
      await sleep(dice.whole(...DELAYS_MS));
    }
    return result;
  };
}

/** Ends this process as a crash would, between the transaction that ends a job and the first one of its follow-up. */
function dieBeforeFollowUp(): void {
  const { FollowUps } = built('store/links/follow-ups.js') as { FollowUps: { prototype: Exports } };
  FollowUps.prototype.followTogether = () => process.kill(process.pid, 'SIGKILL');
}

async function requeueFailed(engine: JobsEngine): Promise<void> {
  const { items } = await engine.jobs.list({ topic: 'fragile', status: 'failed', limit: 50 });
  for (const { id } of items) {
    // Another worker may have been quicker.
    await engine.jobs.requeue(id, { dependants: settings.isLinked }).catch(endUnlessOfQueue);
  }
}

/** The queue refuses with errors of its own; anything else is a fault of it, and shows as the end of this process. */
function endUnlessOfQueue(error: unknown): void {
  if (!(error instanceof JobsError)) throw error;
}

void main();
