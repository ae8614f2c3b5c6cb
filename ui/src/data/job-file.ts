import type { Filters } from '../route/route.js';
import { toListFilter } from './job-list.svelte.js';
import { api } from './session.svelte.js';

/** Excel reads a file without this mark as text of the region. */
const UTF8_MARK = '\ufeff';

const KEPT_MS = 60_000;

/** Fetches the jobs that filters mean, and gives them to the browser as a file. */
export async function saveJobs(format: 'csv' | 'json', filters: Filters): Promise<void> {
  const stream = await api.export(format, toListFilter(filters));
  const file = await new Response(stream).blob();
  const type = format === 'csv' ? 'text/csv' : 'application/json';
  const url = URL.createObjectURL(new Blob(format === 'csv' ? [UTF8_MARK, file] : [file], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `jobs.${format}`;
  link.click();
  // The browser reads it a moment later.
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
