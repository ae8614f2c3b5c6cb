import type { Evidence } from '../cluster/evidence.js';
import { DEAD_LETTERS, mournedTopics } from '../protocol.js';
import { groupBy } from './jobs.js';
import type { Violation } from './violation.js';

/** Each job that fails for good has one dead letter, from the transaction that fails it, and each dead letter has such a job. */
export function checkDeadLetters({ jobs, ledger }: Evidence): Violation[] {
  const letters = groupBy(
    jobs.filter(({ topic }) => topic === DEAD_LETTERS),
    ({ failed }) => failed!,
  );
  const insertedBy = new Map(ledger.filter(({ was }) => was === null).map(({ job_id: id, tx }) => [id, tx]));
  const failures = ledger.filter(({ topic, now }) => mournedTopics.includes(topic) && now === 'failed');
  const violations = failures.flatMap(({ job_id: id, attempt, topic, tx }): Violation[] => {
    const failed = `${id} ${attempt}`;
    const ofFailure = letters.get(failed) ?? [];
    letters.delete(failed);
    const detail = `attempt ${attempt} of job ${id} (${topic}) failed it, and has ${ofFailure.length} dead letters`;
    if (ofFailure.length !== 1) {
      return [{ promise: ofFailure.length === 0 ? 'lost' : 'double', detail }];
    }
    // Only PostgreSQL numbers its transactions.
    return tx === insertedBy.get(ofFailure[0]!.id)
      ? []
      : [{ promise: 'half done', detail: `${detail}, from another transaction` }];
  });
  const others = [...letters.keys()].map((failed): Violation => ({
    promise: 'half done',
    detail: `there is a dead letter of ${failed}, which has not failed`,
  }));
  return [...violations, ...others];
}
