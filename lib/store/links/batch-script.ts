import type { SqlRow, SqlScript, SqlStatement } from '../runtime/sql-runner.js';

/** A script whose statements come in sets. The statements of a set do not need each other's rows, and are sent together. */
export type BatchScript<T> = Generator<readonly SqlStatement[], T, readonly (readonly SqlRow[])[]>;

/** Runs a set of statements one by one. */
export function* oneByOne<T>(script: BatchScript<T>): SqlScript<T> {
  let step = script.next();
  while (!step.done) {
    const results: (readonly SqlRow[])[] = [];
    for (const statement of step.value) {
      results.push(yield statement);
    }
    step = script.next(results);
  }
  return step.value;
}

/** Statements that run together. Those for an empty set are left out. */
export class Work {
  private readonly statements: SqlStatement[] = [];
  private readonly results: { rows: readonly SqlRow[] }[] = [];

  /** Returns what receives the rows. */
  add(sql: string, members: readonly unknown[]): { readonly rows: readonly SqlRow[] } {
    const result: { rows: readonly SqlRow[] } = { rows: [] };
    if (members.length > 0) {
      const set = typeof members[0] === 'string' ? [...new Set(members)].sort() : members;
      this.statements.push({ sql, params: [JSON.stringify(set)] });
      this.results.push(result);
    }
    return result;
  }

  *run(): BatchScript<void> {
    if (this.statements.length > 0) {
      const rows = yield this.statements;
      this.results.forEach((result, index) => (result.rows = rows[index]!));
    }
  }
}

/** Runs each statement as a set of its own. */
export function* asBatches<T>(script: SqlScript<T>): BatchScript<T> {
  let step = script.next();
  while (!step.done) {
    step = script.next((yield [step.value])[0]!);
  }
  return step.value;
}
