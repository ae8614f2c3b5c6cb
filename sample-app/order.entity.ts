import { Column, CreateDateColumn, Entity, PrimaryGeneratedColumn } from 'typeorm';

@Entity('orders')
export class Order {
  @PrimaryGeneratedColumn()
  id!: number;

  @Column({ type: 'text' })
  email!: string;

  @Column({ type: 'text' })
  item!: string;

  /** In cents. */
  @Column({ type: 'integer' })
  amount!: number;

  @Column({ type: 'boolean', default: false })
  express!: boolean;

  @Column({ type: 'text', default: 'placed' })
  status!: 'placed' | 'shipped';

  @Column({ type: 'boolean', default: false })
  paid!: boolean;

  @Column({ type: 'text', nullable: true })
  trackingNumber!: string | null;

  @CreateDateColumn()
  created!: Date;
}

/** What a job of an order carries. Handlers read the rest from the table: by then it may have changed. */
export interface OrderReference {
  orderId: number;
}
