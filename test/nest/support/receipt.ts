import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** A row that a handler writes. The number of rows is the number of writes. */
@Entity('receipts')
export class Receipt {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column()
  jobId!: string;

  @Column()
  attempt!: number;
}
