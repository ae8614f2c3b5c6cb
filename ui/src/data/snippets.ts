import type { Job } from '../../../client/index.js';
import { printJson } from '../json/exact-json.js';

/** The options that enqueue the job again, without topic and payload. Includes `max_retries`, even if it was the default. */
function toOptions({ max_retries, priority, unique_key, metadata, timeout_ms }: Job): Record<string, unknown> {
  return {
    max_retries,
    ...(priority === 0 ? {} : { priority }),
    ...(timeout_ms === null ? {} : { timeout: timeout_ms }),
    ...(unique_key === null ? {} : { unique_key }),
    ...(metadata === null ? {} : { metadata }),
  };
}

/** A command that enqueues the same once more. The token stays out of it: it would end in a shell's history. */
export function toCurl(job: Job, apiUrl: string, hasToken: boolean): string {
  const body = printJson({ topic: job.topic, payload: job.payload, ...toOptions(job) });
  return [
    `curl -X POST ${shellQuoted(`${apiUrl}/enqueue`)}`,
    ...(hasToken ? ['-H "Authorization: Bearer $JOBS_ADMIN_TOKEN"'] : []),
    `-H 'Content-Type: application/json'`,
    `-d ${shellQuoted(body)}`,
  ].join(' \\\n  ');
}

/** The same as a call of `nestjs-jobs/client`. */
export function toClientCall(job: Job): string {
  return `await jobs.enqueue(${JSON.stringify(job.topic)}, ${printJson(job.payload)}, ${printJson(toOptions(job))});`;
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
