import { setTimeout as sleep } from 'node:timers/promises';
import type { JobStore } from 'nestjs-jobs';
import { createJobStore, JobsEngine } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import type { Cluster } from './cluster.js';
import type { ChaosDatabase } from './chaos-database.js';

const ALLOWED_MS = 4_000;
const LOOK_MS = 20;

/** A producer of the campaign itself, to see how soon a job begins that comes to a quiet queue. */
export class Probing {
  private sent = 0;

  private constructor(
    private readonly engine: JobsEngine,
    private readonly store: JobStore,
    private readonly app: DataSource,
  ) {}

  static async of(target: ChaosDatabase, work: (probing: Probing) => Promise<void>): Promise<void> {
    const app = await new DataSource({ ...target.address }).initialize();
    const { store } = createJobStore(app);
    await store.open();
    const probing = new Probing(new JobsEngine({ store, role: 'producer' }), store, app);
    try {
      await work(probing);
    } finally {
      await probing.close();
    }
  }

  async probe(cluster: Cluster, count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) {
      this.sent += 1;
      const payload = { n: `probe.${this.sent}`, ms: 0, obeys: false };
      const sinceMs = performance.now();
      const { id } = await this.engine.enqueue('plain', payload);
      const waiting = `SELECT count(*) AS count FROM _jobs WHERE id = '${id}' AND status = 'pending'`;
      const waitedMs = (): number => Math.round(performance.now() - sinceMs);
      while ((await cluster.count(waiting)) > 0 && waitedMs() <= ALLOWED_MS) await sleep(LOOK_MS);
      cluster.probes.push({ waitedMs: waitedMs(), allowedMs: ALLOWED_MS });
    }
  }

  private async close(): Promise<void> {
    await this.engine.close();
    await this.store.close();
    await this.app.destroy();
  }
}
