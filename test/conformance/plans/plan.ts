import type { Client } from 'pg';

/** The used fields of a node of EXPLAIN. */
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

/** The execution of a statement. */
export interface Execution {
  readonly rows: number;
  /** Page accesses. */
  readonly buffers: number;
  /** Rows, or pairs of rows, that were read and filtered out. */
  readonly inVain: number;
  readonly ms: number;
  /** The nodes of the plan, such as `Index Scan _jobs_pending`. */
  readonly nodes: readonly string[];
}

export type PlanMode = 'custom' | 'generic';

interface Explained {
  readonly sql: string;
  readonly types: string;
  readonly values: readonly (string | number)[];
  /** A statement that runs before it, in the same transaction. */
  readonly before?: string;
}

/**
 * Runs a prepared statement under EXPLAIN ANALYZE with a custom or the generic plan, and rolls
 * it back.
 */
export async function explain(
  client: Client,
  mode: PlanMode,
  { sql, types, values, before }: Explained,
): Promise<Execution> {
  const literals = values.map((value) => (typeof value === 'number' ? String(value) : client.escapeLiteral(value)));
  await client.query('BEGIN');
  try {
    await client.query(`SET LOCAL plan_cache_mode = force_${mode}_plan`);
    await client.query(`PREPARE explained ${inParentheses(types)} AS ${sql}`);
    if (before) {
      await client.query(before);
    }
    return await execute(client, `explained ${inParentheses(literals.join(', '))}`);
  } finally {
    await client.query('ROLLBACK');
    await client.query('DEALLOCATE ALL');
  }
}

/** Runs a prepared statement under EXPLAIN ANALYZE: its name and arguments. */
export async function execute(client: Client, call: string): Promise<Execution> {
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode; 'Execution Time': number }] }>(
    `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE ${call}`,
  );
  const [{ Plan: top, 'Execution Time': ms }] = rows[0]!['QUERY PLAN'];
  const buffers = top['Shared Hit Blocks'] + top['Shared Read Blocks'];
  return { rows: top['Actual Rows'], buffers, inVain: countFiltered(top), ms, nodes: listNodes(top) };
}

/** A statement without parameters has no parameter list. */
function inParentheses(list: string): string {
  return list === '' ? '' : `(${list})`;
}

function listNodes(node: PlanNode): string[] {
  const name = [node['Node Type'], node['Index Name'] ?? node['Relation Name']].filter(Boolean).join(' ');
  return [name, ...(node.Plans ?? []).flatMap(listNodes)];
}

function countFiltered(node: PlanNode): number {
  const removed = (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Join Filter'] ?? 0);
  return (node.Plans ?? []).reduce((sum, child) => sum + countFiltered(child), removed * node['Actual Loops']);
}
