import { JobsEngine } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { TOPIC } from './job-rows.js';
import type { StoreFixture } from './stores.js';

/** An engine on the store of a fixture, created for each test, that records its events. */
export interface RecordingEngine {
  readonly engine: JobsEngine;
  /** The job ids of its events, in order. */
  readonly eventIds: string[];
  enqueueTx(manager: EntityManager): Promise<string>;
  /** The ids of all jobs. */
  listIds(): Promise<string[]>;
}

export function useRecordingEngine(fixture: StoreFixture): RecordingEngine {
  let engine: JobsEngine;
  let told: string[];
  beforeEach(() => {
    told = [];
    engine = new JobsEngine({ store: fixture.store });
    engine.events.subscribe(({ id }) => told.push(id));
  });
  afterEach(() => engine.close());
  return {
    get engine() {
      return engine;
    },
    get eventIds() {
      return told;
    },
    enqueueTx: async (manager) => (await engine.enqueueTx(manager, TOPIC, null)).id,
    listIds: async () => (await fixture.sql<{ id: string }>('SELECT id FROM _jobs')).map(({ id }) => id),
  };
}
