/** The part of TypeORM's `QueryRunner` that migrations use. The queue runs them without TypeORM, too. */
export interface MigrationRunner {
  readonly connection: { readonly options: { readonly type: string } };
  query(statement: string): Promise<unknown>;
}

/** A migration in the form of TypeORM's `MigrationInterface`. */
export interface Migration {
  readonly name: string;
  up(runner: MigrationRunner): Promise<void>;
  down(runner: MigrationRunner): Promise<void>;
}
