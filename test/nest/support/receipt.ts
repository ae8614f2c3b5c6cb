import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** Something of the application's own that a handler writes; the number of rows tells how often. */
@Entity('receipts')
export class Receipt {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column()
  jobId!: string;

  @Column()
  attempt!: number;
}
