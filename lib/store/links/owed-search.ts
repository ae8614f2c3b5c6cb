import { FIRST_ID } from '../jobs/job-row.js';
import type { SqlQuery } from '../runtime/sql-runner.js';

/** Jobs that one page of the search has at most. */
const PAGE_MAX = 500;
/** After a round with failures, some polls look only at what has ended later: one for so many failures, and half a minute at most. */
const FAILURES_PER_POLL = 25;
const REST_POLLS_MAX = 20;

interface Position {
  readonly finished: string | null;
  readonly id: string;
}

const START: Position = { finished: null, id: FIRST_ID };

/**
 * Searches for jobs that owe a follow-up, a page with each poll, those that ended first at the front. The next page begins after the last
 * job of this one, so jobs whose follow-ups fail hold up nothing. A round ends with the last job. If a follow-up has failed in it, the
 * search stays there for some polls, and then begins again.
 */
export class OwedSearch {
  private position = START;
  private isAtEnd = true;
  private failures = 0;
  private restPolls = 0;

  constructor(
    private readonly statement: string,
    private readonly read: SqlQuery,
  ) {}

  recordFailure(): void {
    this.failures += 1;
  }

  /** Returns the jobs of the next page, of those that have ended so long ago. */
  async nextPage(olderMs: number): Promise<string[]> {
    if (this.isAtEnd) {
      this.rest();
    }
    const { finished, id } = this.position;
    const rows = await this.read(this.statement, [PAGE_MAX, olderMs, finished, id]);
    const last = rows.at(-1);
    this.position = last ? { finished: last.finished as string, id: last.id as string } : this.position;
    this.isAtEnd = rows.length < PAGE_MAX;
    return rows.map((row) => row.id as string);
  }

  private rest(): void {
    if (this.restPolls === 0 && this.failures > 0) {
      this.restPolls = Math.min(REST_POLLS_MAX, Math.ceil(this.failures / FAILURES_PER_POLL));
    } else if (this.restPolls > 1) {
      this.restPolls -= 1;
    } else {
      this.restPolls = 0;
      this.failures = 0;
      this.position = START;
    }
  }
}
