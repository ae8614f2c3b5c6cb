import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Adds `unbegun_attempt` to `_jobs`: the attempt that was claimed and whose handler may not be called yet. Frozen, as the
 * migrations before it.
 */
export class MarkBeginnings1795800000000 implements MigrationInterface {
  readonly name = 'MarkBeginnings1795800000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    if (queryRunner.connection.options.type === 'postgres') {
      await queryRunner.query('ALTER TABLE _jobs ADD COLUMN IF NOT EXISTS unbegun_attempt integer');
      return;
    }
    await queryRunner.query(TAKE_LOCK);
    const there = (await queryRunner.query(FIND_COLUMN)) as readonly unknown[];
    if (there.length === 0) {
      await queryRunner.query('ALTER TABLE _jobs ADD COLUMN unbegun_attempt integer');
    }
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE _jobs DROP COLUMN unbegun_attempt');
  }
}

/** A transaction that has only read cannot wait for the write lock: SQLite refuses it while anybody writes. */
const TAKE_LOCK = 'UPDATE _jobs SET attempt = attempt WHERE false';

/** SQLite has no `IF NOT EXISTS` for columns. */
const FIND_COLUMN = `SELECT name FROM pragma_table_info('_jobs') WHERE name = 'unbegun_attempt'`;
