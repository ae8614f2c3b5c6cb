import type { PausedTopic } from '../jobs/job-records.js';
import type { TopicPauses } from '../job-store.js';
import type { SqlQuery } from '../runtime/sql-runner.js';

/** The statements of a database. Topics are a JSON array. */
interface PauseStatements {
  readonly PAUSE: string;
  readonly RESUME: string;
  readonly PAUSED_TOPICS: string;
}

/** Pauses and resumes topics. Each claim reads `paused_since` of its topics, so a pause applies from the next claim of any process. */
export class PausedTopics implements TopicPauses {
  constructor(
    private readonly statements: PauseStatements,
    private readonly read: SqlQuery,
    private readonly write: SqlQuery = read,
  ) {}

  async list(): Promise<PausedTopic[]> {
    const rows = await this.read(this.statements.PAUSED_TOPICS, []);
    return rows.map(({ topic, since }) => ({ topic: topic as string, since: new Date(Number(since)) }));
  }

  async pause(topics: readonly string[]): Promise<void> {
    await this.write(this.statements.PAUSE, [JSON.stringify(topics)]);
  }

  async resume(topics: readonly string[]): Promise<void> {
    await this.write(this.statements.RESUME, [JSON.stringify(topics)]);
  }
}
