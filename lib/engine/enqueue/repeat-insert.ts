import { QueueUnavailableError, toUncertain } from '../../core/errors.js';
import type { InsertedJob, JobInsert } from '../../store/jobs/job-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';

/** An insert is sent once more when its response is lost. The ids of the jobs make that safe. */
const INSERT_TRIES_MAX = 2;
/**
 * An insert whose response is lost is sent again only if finished jobs are kept at least this long. Otherwise a job could run and
 * be deleted before the statement times out (30 s), and the second insert would run it again.
 */
const REPEAT_RETENTION_MIN_MS = 60_000;

/** Sends an insert, and once more when its response is lost. */
export async function repeatInsert(
  parts: Pick<EngineParts, 'retention' | 'registry' | 'wakeSignal'>,
  rows: readonly JobInsert[],
  insert: () => Promise<InsertedJob[]>,
): Promise<InsertedJob[]> {
  const triesMax = isRepeatable(parts, rows) ? INSERT_TRIES_MAX : 1;
  let isUncertain = false;
  for (let tries = 1; ; tries += 1) {
    try {
      return await insert();
    } catch (error) {
      if (!(error instanceof QueueUnavailableError)) {
        throw error;
      }
      isUncertain ||= error.isUncertain;
      if (isUncertain) {
        parts.wakeSignal.onMaybeStored(rows);
      }
      if (!error.isUncertain || tries === triesMax) {
        // The last try stored nothing, but an earlier one may have.
        throw isUncertain && !error.isUncertain ? toUncertain(error) : error;
      }
    }
  }
}

/**
 * Whether a second insert would find the ids of the rows: they stay in the table long enough, or carry an idempotency key, which
 * keeps the row for a day.
 */
function isRepeatable(
  { retention, registry }: Pick<EngineParts, 'retention' | 'registry'>,
  rows: readonly JobInsert[],
): boolean {
  const ages = [retention, ...registry.retentions].flatMap((each) => Object.values(each));
  const isEachKept = ages.every((age) => age === false || age >= REPEAT_RETENTION_MIN_MS);
  return isEachKept || rows.every(({ idempotency }) => idempotency !== null);
}
