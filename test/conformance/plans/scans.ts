import type { Client } from 'pg';

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Index Cond'?: string;
  readonly 'TID Cond'?: string;
  readonly Plans?: readonly PlanNode[];
}

/** The first column of each index. Without a condition on it the whole index is read. */
const LEADING: Readonly<Record<string, string>> = {
  _jobs_pkey: 'id',
  _jobs_pending: 'topic',
  _jobs_keyed: 'topic',
  _jobs_running: 'topic',
  _jobs_concurrency_key: 'concurrency_key',
  _jobs_waiting_key: 'topic',
  _jobs_processing: 'locked_until',
  _jobs_expiring: 'expires_at',
  _jobs_retrying: 'topic',
  _jobs_ended: 'topic',
  _jobs_listed: 'topic',
  _jobs_unique_key: 'topic',
  _jobs_idempotency_key: 'idempotency_key',
  _jobs_labelled: 'labels',
};

/** A node of a plan that reads a whole table or index. */
export interface Scan {
  readonly node: string;
  readonly index: string | undefined;
}

/** Returns the scans of a statement that is prepared under this name. */
export async function listScans(client: Client, name: string, text: string): Promise<Scan[]> {
  const count = Math.max(0, ...[...text.matchAll(/\$(\d+)/g)].map((match) => Number(match[1])));
  const nulls = Array.from({ length: count }, () => 'NULL').join(', ');
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
    `EXPLAIN (FORMAT JSON) EXECUTE ${name} ${count > 0 ? `(${nulls})` : ''}`,
  );
  return collectScans(rows[0]!['QUERY PLAN'][0].Plan);
}

function collectScans(node: PlanNode): Scan[] {
  const isScan = node['Relation Name'] === '_jobs' && node['Node Type'] !== 'ModifyTable';
  const leading = new RegExp(`\\b${LEADING[node['Index Name'] ?? '']}\\b`);
  const knowsWhere = leading.test(node['Index Cond'] ?? '') || node['TID Cond'] !== undefined;
  const scans = isScan && !knowsWhere ? [{ node: node['Node Type'], index: node['Index Name'] }] : [];
  return [...scans, ...(node.Plans ?? []).flatMap(collectScans)];
}
