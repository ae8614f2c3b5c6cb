import type { Client } from 'pg';

/** One node of what EXPLAIN tells, as far as it is used here. */
interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** How a statement was run. */
export interface Execution {
  readonly rows: number;
  /** Pages touched, each as often as it was. */
  readonly buffers: number;
  /** Rows, or pairs of rows, that were looked at in vain. */
  readonly inVain: number;
  readonly ms: number;
  /** What it did with each relation, such as `Index Scan _jobs_pending`, and its other nodes. */
  readonly nodes: readonly string[];
}

export type PlanMode = 'custom' | 'generic';

/**
 * Runs a statement as a prepared one under EXPLAIN ANALYZE, with a plan for these values or the generic one, and takes
 * its effects back.
 */
export async function explain(
  client: Client,
  mode: PlanMode,
  { sql, types, values }: { sql: string; types: string; values: readonly (string | number)[] },
): Promise<Execution> {
  const literals = values.map((value) => (typeof value === 'number' ? String(value) : client.escapeLiteral(value)));
  await client.query('BEGIN');
  try {
    await client.query(`SET LOCAL plan_cache_mode = force_${mode}_plan`);
    await client.query(`PREPARE explained ${inParentheses(types)} AS ${sql}`);
    const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode; 'Execution Time': number }] }>(
      `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE explained ${inParentheses(literals.join(', '))}`,
    );
    const [{ Plan: top, 'Execution Time': ms }] = rows[0]!['QUERY PLAN'];
    const buffers = top['Shared Hit Blocks'] + top['Shared Read Blocks'];
    return { rows: top['Actual Rows'], buffers, inVain: inVainOf(top), ms, nodes: nodesOf(top) };
  } finally {
    await client.query('ROLLBACK');
    await client.query('DEALLOCATE ALL');
  }
}

/** A statement without parameters has no list of them. */
function inParentheses(list: string): string {
  return list === '' ? '' : `(${list})`;
}

function nodesOf(node: PlanNode): string[] {
  const name = [node['Node Type'], node['Index Name'] ?? node['Relation Name']].filter(Boolean).join(' ');
  return [name, ...(node.Plans ?? []).flatMap(nodesOf)];
}

function inVainOf(node: PlanNode): number {
  const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Join Filter'] ?? 0);
  return (node.Plans ?? []).reduce((sum, child) => sum + inVainOf(child), removed * node['Actual Loops']);
}
