import type { DataSource } from 'typeorm';

/** Reads the columns, constraints and indexes of the queue's tables from the database, one line each. */
export async function readCatalog(
  app: DataSource,
  tables = ['_jobs', '_jobs_rollup', '_jobs_workers', '_jobs_topics', '_jobs_migrations'],
): Promise<string[]> {
  const list = tables.map((table) => `'${table}'`).join(', ');
  const sql = app.options.type === 'postgres' ? postgresCatalog(list) : sqliteCatalog(list);
  return (await app.query<{ line: string }[]>(sql)).map(({ line }) => line);
}

const postgresCatalog = (tables: string): string => `
  WITH t AS (SELECT oid, relname FROM pg_class WHERE relkind = 'r' AND relname IN (${tables}))
  SELECT line FROM (
    SELECT format('column %s.%s %s %s DEFAULT %s', t.relname, a.attname, format_type(a.atttypid, a.atttypmod),
      CASE WHEN a.attnotnull THEN 'NOT NULL' ELSE 'NULL' END, pg_get_expr(d.adbin, d.adrelid)) AS line
    FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT format('constraint %s.%s %s', t.relname, c.conname, pg_get_constraintdef(c.oid))
    FROM t JOIN pg_constraint c ON c.conrelid = t.oid
    UNION ALL
    SELECT pg_get_indexdef(i.indexrelid) FROM t JOIN pg_index i ON i.indrelid = t.oid
    UNION ALL
    SELECT format('trigger %s.%s', t.relname, g.tgname) FROM t JOIN pg_trigger g ON g.tgrelid = t.oid) AS lines
  ORDER BY line`;

const sqliteCatalog = (tables: string): string => `
  SELECT sql AS line FROM sqlite_master WHERE tbl_name IN (${tables}) AND sql IS NOT NULL ORDER BY type, name`;
