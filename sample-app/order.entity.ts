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

/** Payload of the jobs of an order. Handlers read the order from the table, because it can change before they run. */
export interface OrderReference {
  orderId: number;
}
