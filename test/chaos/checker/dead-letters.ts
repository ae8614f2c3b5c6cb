import type { Evidence } from '../cluster/evidence.js';
import { DEAD_LETTERS, mournedTopics } from '../protocol.js';
import { groupBy } from './jobs.js';
import type { Violation } from './violation.js';

/** Each job that fails for good has one dead letter, and each dead letter has such a job. */
export function checkDeadLetters({ jobs, ledger }: Evidence): Violation[] {
  const letters = groupBy(
    jobs.filter(({ topic }) => topic === DEAD_LETTERS),
    ({ failed }) => failed!,
  );
  const failures = ledger.filter(({ topic, now }) => mournedTopics.includes(topic) && now === 'failed');
  const violations = failures.flatMap(({ job_id: id, attempt, topic }): Violation[] => {
    const failed = `${id} ${attempt}`;
    const ofFailure = letters.get(failed) ?? [];
    letters.delete(failed);
    const detail = `attempt ${attempt} of job ${id} (${topic}) failed it, and has ${ofFailure.length} dead letters`;
    return ofFailure.length === 1 ? [] : [{ promise: ofFailure.length === 0 ? 'lost' : 'double', detail }];
  });
  const others = [...letters.keys()].map((failed): Violation => ({
    promise: 'half done',
    detail: `there is a dead letter of ${failed}, which has not failed`,
  }));
  return [...violations, ...others];
}
