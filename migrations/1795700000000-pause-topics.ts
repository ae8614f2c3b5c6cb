import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Creates `_jobs_paused`, the topics of which no job is claimed. Frozen, as the migrations before it. */
export class PauseTopics1795700000000 implements MigrationInterface {
  readonly name = 'PauseTopics1795700000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    const isPostgres = queryRunner.connection.options.type === 'postgres';
    await queryRunner.query(isPostgres ? postgresTable : sqliteTable);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE IF EXISTS _jobs_paused');
  }
}

const postgresTable = `CREATE TABLE IF NOT EXISTS _jobs_paused (
    topic text NOT NULL CONSTRAINT _jobs_paused_pkey PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT statement_timestamp()
  )`;

const sqliteTable = `CREATE TABLE IF NOT EXISTS _jobs_paused (
    topic text NOT NULL CONSTRAINT _jobs_paused_pkey PRIMARY KEY,
    since datetime NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
  ) WITHOUT ROWID`;
