import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Type } from '@nestjs/common';
import { InvalidOptionsError } from 'nestjs-jobs';
import { EntitySchema } from 'typeorm';
import { GuideCode } from '../support/guide-code.js';
import { readMarkdownTable } from '../support/unit/markdown-table.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';

const guide = new GuideCode('guide/workflows.md');

const page = readFileSync(join(__dirname, '../../docs/guide/workflows.md'), 'utf8');
const REFUSED = readMarkdownTable(page, ['refused', 'example of the message']);

/** The id of no job. */
const UNKNOWN = '019b3f5e-7b5a-7000-8000-5f2d4c1e9a10';

interface Workflow {
  start(orderId: number): Promise<void>;
}

describe('the workflows of the guide', () => {
  const apps = useApps(sqliteFile);
  const Order = new EntitySchema<{ id: number; item: string; status: string }>({
    name: 'orders',
    columns: {
      id: { type: Number, primary: true, generated: true },
      item: { type: String },
      status: { type: String },
    },
  });
  let lines: unknown[][];
  beforeEach(() => {
    lines = [];
    jest.spyOn(console, 'log').mockImplementation((...line: unknown[]) => void lines.push(line));
  });
  afterEach(() => jest.restoreAllMocks());

  it('run an order: charge, then pack and invoice, then mail with the results of both', async () => {
    const app = await apps.start({ providers: [guide.exportOf<Type<object>>('OrderJobs')] });
    await guide.run("topic: 'mail_order'", { jobs: app.jobs });
    await app.jobs.whenIdle();
    expect(lines).toEqual([
      ['charge order', 7],
      ['pack', { parcel: 'P-7' }],
      ['invoice', { number: 'I-7' }],
    ]);
  });

  it('replace a flow of BullMQ', async () => {
    const OrderWorkflow = new GuideCode('guide/coming-from-nestjs-bullmq.md').exportOf<Type<Workflow>>('OrderWorkflow');
    const app = await apps.start({
      providers: [OrderWorkflow],
      handlers: { pack_order: () => 'packed', write_invoice: () => 'written' },
    });
    await app.module.get<Workflow>(OrderWorkflow).start(7);
    await app.jobs.whenIdle();
    expect(lines).toEqual([
      ['parcel', 'packed'],
      ['invoice', 'written'],
    ]);
  });

  it('start with their order, wait for stored jobs, and go on after a failed parent', async () => {
    const ran: string[] = [];
    const runs = (topic: string) => () => void ran.push(topic);
    const topics = ['charge_order', 'pack_order', 'remove_file', 'mail_order', 'ask_for_review'];
    const app = await apps.start({
      typeOrm: { entities: [Order] },
      options: { maxRetries: 0 },
      handlers: {
        ...Object.fromEntries(topics.map((topic) => [topic, runs(topic)])),
        upload_file: () => Promise.reject(new Error('full')),
      },
    });
    const { jobs } = app;
    await guide.run('manager.save', { jobs, dataSource: app.dataSource, Order });
    await app.jobs.whenIdle();
    await guide.run("topic: 'remove_file'", { jobs });
    await app.jobs.whenIdle();
    await guide.run("topic: 'ask_for_review'", { jobs });
    await app.jobs.whenIdle();
    expect(ran).toEqual(['charge_order', 'pack_order', 'remove_file', 'mail_order']);
    const { items } = await jobs.list({ topic: 'ask_for_review' });
    expect(items[0]!.runAt.getTime() - items[0]!.created.getTime()).toBeGreaterThan(6 * 86_400_000);
  });

  it('go on after a re-queue with dependants; a child that is re-queued alone does not wait', async () => {
    let isBroken = true;
    const ran: string[] = [];
    const { jobs } = await apps.start({
      options: { maxRetries: 0 },
      handlers: {
        charge: () => (isBroken ? Promise.reject(new Error('declined')) : undefined),
        pack: () => void ran.push('pack'),
        mail: () => void ran.push('mail'),
      },
    });
    const [charge, , mail] = await jobs.enqueueMany([
      { ref: 'charge', topic: 'charge', payload: null },
      { ref: 'pack', topic: 'pack', payload: null, dependsOn: ['charge'] },
      { topic: 'mail', payload: null, dependsOn: ['pack'] },
    ]);
    await jobs.whenIdle();
    expect(await jobs.get(mail!.id)).toMatchObject({ status: 'cancelled', lastError: `parent ${charge!.id} failed` });
    await jobs.requeue(mail!.id);
    await jobs.whenIdle();
    expect(ran).toEqual(['mail']);
    isBroken = false;
    await guide.run('dependants: true', { jobs, id: charge!.id });
    await jobs.whenIdle();
    expect(ran).toEqual(['mail', 'pack']);
  });

  it('count the members of a group, run its callbacks, and cancel it', async () => {
    const ran: string[] = [];
    const app = await apps.start({
      handlers: {
        report_newsletter: async ({ groupId }) => void ran.push(`sent ${(await app.jobs.group(groupId!))!.completed}`),
        send_newsletter: ({ payload }) => void ran.push((payload as { to: string }).to),
      },
    });
    const { jobs } = app;
    await guide.run('jobs.enqueueGroup(', { jobs });
    await jobs.whenIdle();
    const [id, count] = lines[0] as [string, number];
    expect(count).toBe(2);
    expect(ran.sort()).toEqual(['ann@example.org', 'bob@example.org', 'sent 2']);
    await guide.run('jobs.cancelGroup(', { jobs, id });
    await guide.run('groupId: id', { jobs, id });
    expect(lines.slice(1)).toEqual([['2 of 2 sent, 0 failed'], [[]]]);
    expect((await jobs.list({ topic: 'warn_editor' })).items).toMatchObject([{ status: 'cancelled' }]);
  });

  it('add members to the group of a running job', async () => {
    const { jobs } = await apps.start({
      providers: [guide.exportOf<Type<object>>('ReaderJobs')],
      handlers: { send_newsletter: () => undefined },
    });
    const { id } = await jobs.enqueueGroup([{ topic: 'list_readers', payload: null }]);
    await jobs.whenIdle();
    expect(await jobs.group(id)).toMatchObject({ total: 3, completed: 3, finished: expect.any(Date) as Date });
  });

  it('are refused with the messages of the guide', async () => {
    const { jobs } = await apps.start();
    const job = { topic: 'work', payload: null };
    const chain = (parents: number): string[] => Array.from({ length: parents }, (_, index) => `j${index}`);
    const calls = [
      [
        { ...job, ref: 'a', dependsOn: ['b'] },
        { ...job, ref: 'b', dependsOn: ['a'] },
      ],
      [
        { ...job, ref: 'charge' },
        { ...job, dependsOn: ['chrage'] },
      ],
      [job, { ...job, dependsOn: [UNKNOWN] }],
      [job, job, job, { ...job, dependsOn: chain(1_001) }],
      chain(1_000).map((ref, index) => ({ ...job, ref, dependsOn: chain(index) })),
      chain(10_001).map((ref) => ({ ...job, ref })),
    ];
    const messages = await Promise.all(calls.map((call) => jobs.enqueueMany(call).catch((error: Error) => error)));
    const { id } = await jobs.enqueueGroup([]);
    messages.push((await jobs.enqueueGroup([job], { id }).catch((error: Error) => error)) as Error);
    expect(messages.every((error) => error instanceof InvalidOptionsError)).toBe(true);
    // The guide leaves out the advice.
    const texts = messages.map((error) => (error as Error).message.replace(id, UNKNOWN).replace(/; split .*/, '; …'));
    expect(texts).toEqual(REFUSED.map((row) => row['example of the message']));
    expect((await jobs.list()).total).toBe(0);
  });
});
