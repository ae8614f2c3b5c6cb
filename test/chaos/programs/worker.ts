import { setTimeout as sleep } from 'node:timers/promises';
import type { JobsEngine } from 'nestjs-jobs';
import { JobsError } from 'nestjs-jobs';
import { history, onTermination, openApplication, reportReady, settings } from './member-settings.js';
import { Tasks } from './tasks.js';

const REQUEUE_PAUSE_MS = 300;
/** How long the handler of a schedule's job works. */
const SCHEDULED_WORK_MS = 20;

/** A worker that also puts failed jobs of the topic `fragile` back, as an operator would. */
async function main(): Promise<void> {
  const application = await openApplication(settings.options);
  const { app, engine } = application;
  new Tasks(app, history, settings).register(engine);
  for (let count = 0; count < settings.schedules; count += 1) {
    engine.declareSchedule(`every-second-${count}`, '* * * * * *', {
      topic: 'complete_tx',
      payload: { ms: SCHEDULED_WORK_MS, obeys: false },
      missed: 'all',
    });
  }
  await engine.start();
  let isEnding = false;
  onTermination(async () => {
    isEnding = true;
    await application.close();
  });
  reportReady();
  while (!isEnding) {
    await requeueFailed(engine).catch(endUnlessOfQueue);
    await sleep(REQUEUE_PAUSE_MS);
  }
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
