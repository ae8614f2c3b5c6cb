import { randomBytes } from 'node:crypto';
import type { Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import type { JobsModuleOptions, PayloadCodec } from 'nestjs-jobs';
import { defineJob, encryptPayloads, InvalidPayloadError, JobsService, PayloadTooLargeError } from 'nestjs-jobs';
import { GuideCode } from '../support/guide-code.js';
import { until } from '../support/wait.js';
import type { Apps, Handler } from './support/apps.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const KEYS = { a: randomBytes(32), b: randomBytes(32) };
const SECRET = { card: '4242' };
const ENVELOPE = { $encrypted: 'A256GCM', key: 'a', data: expect.any(String) as string };

const codec = encryptPayloads({ current: 'a', keys: { a: KEYS.a } });
const encrypted: JobsModuleOptions = { codec, pollInterval: 50, backoff: { type: 'fixed', delay: 0 } };

/** Starts an application whose handler of `pay` records the payloads that it receives. */
async function startRecorder(apps: Apps, options = encrypted): Promise<{ app: TestApp; received: unknown[] }> {
  const received: unknown[] = [];
  const pay: Handler = (job) => void received.push(job.payload);
  return { app: await apps.start({ options, handlers: { pay } }), received };
}

describe.each([postgres, sqliteFile])('an encrypted payload on $label', (kind) => {
  const apps = useApps(kind);

  it('is stored as an envelope, and plain for the handler, wherever a job is made', async () => {
    const { app, received } = await startRecorder(apps);
    const { jobs, dataSource, rows } = app;
    const one = await jobs.enqueue('pay', { ...SECRET, by: 'enqueue' });
    expect(one.payload).toEqual(ENVELOPE);
    await dataSource.transaction((manager) => jobs.enqueueTx(manager, 'pay', { ...SECRET, by: 'enqueueTx' }));
    await jobs.enqueueMany([
      { topic: 'pay', payload: { ...SECRET, by: 'parent' }, ref: 'parent' },
      { topic: 'pay', payload: { ...SECRET, by: 'child' }, dependsOn: ['parent'] },
    ]);
    await jobs.enqueueGroup([{ topic: 'pay', payload: { ...SECRET, by: 'member' } }], {
      onFinish: { topic: 'pay', payload: { ...SECRET, by: 'onFinish' } },
    });
    await jobs.schedules.upsert('often', { every: '1s' }, { topic: 'pay', payload: { ...SECRET, by: 'tick' } });
    await jobs.schedules.run('often');
    const ways = ['enqueue', 'enqueueTx', 'parent', 'child', 'member', 'onFinish', 'tick'];
    const isEach = (): boolean => ways.every((by) => received.some((payload) => (payload as { by: string }).by === by));
    const isTick = async (): Promise<boolean> =>
      (await jobs.list({ topic: 'pay' })).items.some(({ metadata, runAt }) => {
        const { tick } = (metadata?.$schedule ?? {}) as { tick?: string };
        return tick === runAt.toISOString();
      });
    await until(async () => isEach() && (await isTick()));
    await jobs.schedules.remove('often');
    await jobs.whenIdle();
    const stored = await rows.find();
    expect(stored.map(({ payload }) => payload)).toEqual(stored.map(() => ENVELOPE));
    expect(stored.map(({ status }) => status)).toEqual(stored.map(() => 'completed'));
  });

  it('belongs to the job that it replaces in a debounced call', async () => {
    const { app, received } = await startRecorder(apps);
    const { jobs, rows } = app;
    const debounced = { uniqueKey: 'cart-7', debounce: '1h' } as const;
    const [first, second] = await Promise.all([
      jobs.enqueue('pay', 'first', debounced),
      jobs.enqueue('pay', 'second', debounced),
    ]);
    expect(first.id).toBe(second.id);
    expect(await jobs.enqueue('pay', 'third', debounced)).toMatchObject({ id: first.id, replaced: true });
    await jobs.enqueueMany(['fourth', 'fifth'].map((payload) => ({ topic: 'pay', payload, ...debounced })));
    expect(await rows.count()).toBe(1);
    await jobs.promote(first.id);
    await jobs.whenIdle();
    expect(received).toEqual(['fifth']);
    const next = await jobs.enqueue('pay', 'after the start', debounced);
    expect(next).toMatchObject({ deduplicated: false });
    expect(next.id).not.toBe(first.id);
  });
});

describe('an encrypted payload', () => {
  const apps = useApps(sqliteFile);

  it('fails its job for good when it was changed or moved', async () => {
    const { app, received } = await startRecorder(apps);
    await app.jobs.pause('pay');
    const [one, other] = await app.jobs.enqueueMany([
      { topic: 'pay', payload: 1 },
      { topic: 'pay', payload: 2 },
    ]);
    await app.rows.update(one!.id, { payload: other!.payload as object });
    await app.jobs.resume('pay');
    const failed = await app.jobAfter('failed', one!.id);
    expect(failed).toMatchObject({ status: 'failed', retries: 0 });
    expect(failed.lastError).toMatch(/^payload: cannot be decrypted with key 'a': it was changed or moved/);
    await app.event('completed', other!.id);
    expect(received).toEqual([2]);
  });

  it('can be replaced when the job is re-queued, and stays when the envelope comes back', async () => {
    let isBroken = true;
    const received: unknown[] = [];
    const pay: Handler = ({ payload }) => {
      received.push(payload);
      if (isBroken) throw new Error('broken');
    };
    const app = await apps.start({ options: { ...encrypted, maxRetries: 0 }, handlers: { pay } });
    const { id } = await app.jobs.enqueue('pay', 'as enqueued');
    const failed = await app.jobAfter('failed', id);
    await app.jobs.requeue(id, { payload: failed.payload });
    await app.event('failed', id, 2);
    isBroken = false;
    await app.jobs.requeue(id, { payload: 'edited' });
    expect((await app.jobAfter('completed', id)).payload).toEqual(ENVELOPE);
    expect(received).toEqual(['as enqueued', 'as enqueued', 'edited']);
  });

  it('is plain for schemas and concurrency keys, at enqueue and before the handler', async () => {
    const seen: unknown[] = [];
    const Pay = defineJob<{ tenant: string }>('pay', {
      concurrencyKey: ({ tenant }) => tenant,
      schema: {
        '~standard': {
          version: 1,
          vendor: 'test',
          validate: (value) => {
            seen.push(value);
            return (value as { tenant?: string }).tenant === undefined
              ? { issues: [{ message: 'expected a tenant' }] }
              : { value: value as { tenant: string } };
          },
        },
      },
    });
    const app = await apps.start({ options: encrypted });
    app.jobs.register(Pay, (job) => job.payload.tenant);
    const jobs = await app.jobs.enqueueMany([
      { ref: 'first', topic: Pay, payload: { tenant: 't1' } },
      { topic: Pay, payload: { tenant: 't2' }, dependsOn: ['first'] },
    ]);
    expect(jobs.map(({ concurrencyKey }) => concurrencyKey)).toEqual(['t1', 't2']);
    expect(await app.jobAfter('completed', jobs[1]!.id)).toMatchObject({ result: 't2', payload: ENVELOPE });
    expect(seen).toEqual(['t1', 't2', 't1', 't2'].map((tenant) => ({ tenant })));
    await expect(app.jobs.enqueue(Pay, {} as never)).rejects.toThrow(InvalidPayloadError);
  });

  it('reaches the members of a batch; one that was changed fails alone', async () => {
    const app = await apps.start({ options: encrypted });
    const calls: unknown[][] = [];
    await app.jobs.pause('index');
    const [good, bad] = await app.jobs.enqueueMany([
      { topic: 'index', payload: 'good' },
      { topic: 'index', payload: 'bad' },
    ]);
    await app.rows.update(bad!.id, { payload: { ...(bad!.payload as object), data: 'AAAA' } });
    app.jobs.register('index', (jobs) => void calls.push(jobs.map(({ payload }) => payload)), { batch: { size: 2 } });
    await app.jobs.resume('index');
    await app.event('completed', good!.id);
    expect(await app.jobAfter('failed', bad!.id)).toMatchObject({ retries: 0 });
    expect(calls).toEqual([['good']]);
  });

  it('counts encoded for the limit of payloads', async () => {
    const app = await apps.start({ options: { ...encrypted, payloadMaxBytes: 1_000 } });
    await app.jobs.enqueue('pay', 'x'.repeat(600));
    const error = await app.jobs
      .enqueueMany([{ topic: 'pay', payload: 'x'.repeat(900) }])
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PayloadTooLargeError);
    expect((error as Error).message).toMatch(
      /^jobs\[0\]\.payload must be at most 1000 bytes of encoded JSON text, got 1\d\d\d$/,
    );
  });

  it('lets jobs from before the encryption run', async () => {
    const plain = await apps.start();
    const { id } = await plain.jobs.enqueue('pay', SECRET);
    await plain.close();
    const { app, received } = await startRecorder(apps);
    await app.event('completed', id);
    expect(received).toEqual([SECRET]);
  });
});

describe('a process without the key of a payload', () => {
  const apps = useApps(sqliteFile);

  it('leaves its jobs to processes with the key, without using a retry, and runs other topics', async () => {
    const old = await startRecorder(apps);
    old.app.jobs.register('other', () => null);
    const rotated = encryptPayloads({ current: 'b', keys: { ...KEYS } });
    const producer = await apps.start({ options: { ...encrypted, codec: rotated, role: 'producer' } });
    const jobs = await producer.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'pay', payload })));
    await old.app.event('released', jobs[0]!.id);
    await old.app.event('completed', (await old.app.jobs.enqueue('other', null)).id);
    expect(apps.log.of('warn', "has no key 'b'")).toHaveLength(1);

    const fresh = await startRecorder(apps, { ...encrypted, codec: rotated });
    const before = await producer.jobs.enqueue('pay', 4);
    const byOld = await old.app.jobs.enqueue('pay', 5);
    for (const { id } of [...jobs, before]) {
      const done = await fresh.app.jobAfter('completed', id);
      expect(done).toMatchObject({ status: 'completed', retries: 0, errors: [] });
    }
    await until(() => old.received.length + fresh.received.length === 5);
    expect([...old.received, ...fresh.received].sort()).toEqual([1, 2, 3, 4, 5]);
    expect(await producer.jobs.get(byOld.id)).toMatchObject({ retries: 0 });
    expect(apps.log.of('warn', "has no key 'b'")).toHaveLength(1);
    expect(
      [...old.app.events, ...fresh.app.events].filter(({ type }) => type === 'failed' || type === 'retrying'),
    ).toEqual([]);
  });
});

describe.each([postgres, sqliteFile])('a process without a codec on $label', (kind) => {
  const apps = useApps(kind);
  const warning = "the payload is encoded ('$encrypted'), and this process has no codec";

  it('leaves encrypted jobs to processes with the codec, without using a retry, and runs plain ones', async () => {
    const old = await startRecorder(apps, { pollInterval: 50 });
    old.app.jobs.register('other', () => null);
    const producer = await apps.start({ options: { ...encrypted, role: 'producer' } });
    const jobs = await producer.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'pay', payload })));
    await old.app.event('released', jobs[0]!.id);
    await old.app.event('completed', (await old.app.jobs.enqueue('other', null)).id);
    expect(await producer.jobs.get(jobs[0]!.id)).toMatchObject({ status: 'pending', retries: 0, lastError: null });
    expect(old.received).toEqual([]);
    expect(apps.log.of('warn', warning)).toHaveLength(1);

    const fresh = await startRecorder(apps);
    const plain = await old.app.jobs.enqueue('pay', 4);
    for (const { id } of [...jobs, plain]) {
      expect(await fresh.app.jobAfter('completed', id)).toMatchObject({ status: 'completed', retries: 0, errors: [] });
    }
    expect(fresh.received).toEqual(expect.arrayContaining([1, 2, 3]));
    expect([...old.received, ...fresh.received].sort()).toEqual([1, 2, 3, 4]);
    expect(apps.log.of('warn', warning)).toHaveLength(1);
  });

  it('leaves encrypted members of a batch to other processes, and runs the plain ones', async () => {
    const old = await apps.start({ options: { pollInterval: 50 } });
    await old.jobs.pause('index');
    const producer = await apps.start({ options: { ...encrypted, role: 'producer' } });
    const secret = await producer.jobs.enqueue('index', 'secret');
    const plain = await old.jobs.enqueue('index', 'plain');
    const calls: unknown[][] = [];
    old.jobs.register('index', (jobs) => void calls.push(jobs.map(({ payload }) => payload)), { batch: { size: 2 } });
    await old.jobs.resume('index');
    await old.event('released', secret.id);
    await old.event('completed', plain.id);
    expect(calls).toEqual([['plain']]);
    expect(await producer.jobs.get(secret.id)).toMatchObject({ status: 'pending', retries: 0 });
  });

  it('leaves the dead letters of encrypted jobs to other processes', async () => {
    const fresh = await apps.start({ options: { ...encrypted, maxRetries: 0 } });
    fresh.jobs.register('pay', () => Promise.reject(new Error('declined')), { deadLetter: 'refund' });
    await fresh.jobs.pause('refund');
    const { id } = await fresh.jobs.enqueue('pay', SECRET);
    await fresh.event('failed', id);
    const readLetters = async () => (await fresh.jobs.list({ topic: 'refund' })).items;
    await until(async () => (await readLetters()).length === 1, { message: 'the dead letter' });
    const [letter] = await readLetters();
    const old = await apps.start({ options: { pollInterval: 50 } });
    const received: unknown[] = [];
    old.jobs.register('refund', ({ payload }) => void received.push(payload));
    await fresh.jobs.resume('refund');
    await old.event('released', letter!.id);
    fresh.jobs.register('refund', ({ payload }) => void received.push((payload as { payload: unknown }).payload));
    await fresh.event('completed', letter!.id);
    expect(received).toEqual([SECRET]);
  });

  it.each(['$encrypted', '$encoded'])(
    'rejects a plain payload with the member %s, by which encoded ones are known',
    async (mark) => {
      const { jobs, rows } = await apps.start();
      const payload = { [mark]: 'A256GCM', card: 1 };
      const error = new InvalidPayloadError(
        'payload',
        `has the member '${mark}', which marks the encoded payload of a stored job; pass the plain payload`,
      );
      await expect(jobs.enqueue('pay', payload)).rejects.toThrow(error);
      await expect(jobs.enqueue('pay', { toJSON: () => payload })).rejects.toThrow(error);
      await expect(
        jobs.enqueueMany([
          { topic: 'pay', payload: 1 },
          { topic: 'pay', payload },
        ]),
      ).rejects.toThrow(/^jobs\[1\]\.payload: has the member/);
      await expect(jobs.schedules.upsert('often', { every: '1s' }, { topic: 'pay', payload })).rejects.toThrow(error);
      expect(await rows.count()).toBe(0);
      const { id } = await jobs.enqueue('pay', { deep: payload });
      await jobs.cancel(id);
      await expect(jobs.requeue(id, { payload })).rejects.toThrow(error);
    },
  );

  it('re-queues an encrypted job whose payload comes back as it was', async () => {
    const producer = await apps.start({ options: { ...encrypted, role: 'producer' } });
    const { id, payload } = await producer.jobs.enqueue('pay', SECRET);
    const old = await apps.start();
    await old.jobs.cancel(id);
    expect(await old.jobs.requeue(id, { payload })).toMatchObject({ status: 'pending', payload });
  });
});

describe.each([postgres, sqliteFile])('encryption on $label', (kind) => {
  const apps = useApps(kind);

  it('is turned on in two deployments without a job that waits for a process with the key', async () => {
    const keys = { a: KEYS.a };
    const before = await startRecorder(apps, { pollInterval: 50 });
    const first = await startRecorder(apps, {
      pollInterval: 50,
      codec: encryptPayloads({ current: 'a', keys, encrypt: false }),
    });
    expect((await first.app.jobs.enqueue('pay', 'first deployment')).payload).toBe('first deployment');
    await until(() => before.received.length + first.received.length === 1);
    await before.app.close();
    const second = await startRecorder(apps);
    const sent = await second.app.jobs.enqueueMany(
      Array.from({ length: 20 }, (_, index) => ({ topic: 'pay', payload: index })),
    );
    expect(sent.map(({ payload }) => payload)).toEqual(sent.map(() => ENVELOPE));
    await until(() => first.received.length + second.received.length === 20 + 1 - before.received.length);
    expect([...first.app.events, ...second.app.events].filter(({ type }) => type === 'released')).toEqual([]);
    expect(apps.log.of('warn', 'has no codec')).toEqual([]);
  });
});

describe('the guide on encryption', () => {
  const apps = useApps(sqliteFile);
  const guide = new GuideCode('guide/encrypting-payloads.md');

  it('configures a module, a codec that only decrypts, and one that compresses', async () => {
    process.env.JOBS_KEY_2026_01 = KEYS.a.toString('base64');
    const { app: before } = await startRecorder(apps, {
      codec: encryptPayloads({ current: '2026-01', keys: { '2026-01': KEYS.a } }),
      role: 'producer',
    });
    const { id, payload } = await before.jobs.enqueue('pay', SECRET);
    const { app, received } = await startRecorder(apps, { codec: guide.exportOf<PayloadCodec>('decryptOnly') });
    await app.event('completed', id);
    const plain = await app.jobs.enqueue('pay', SECRET);
    expect(plain.payload).toEqual(SECRET);
    await app.event('completed', plain.id);
    expect(received).toEqual([SECRET, SECRET]);
    expect(payload).toEqual({ ...ENVELOPE, key: '2026-01' });

    const compressed = guide.exportOf<PayloadCodec>('compressed');
    const owner = { id, topic: 'pay' };
    expect(compressed.decode(compressed.encode(SECRET, owner), owner)).toEqual(SECRET);
    expect(compressed.decode(SECRET, owner)).toEqual(SECRET);

    const typeOrm = apps.typeOrm();
    const module = await Test.createTestingModule({
      imports: [typeOrm, guide.exportOf<Type<object>>('EncryptedJobsModule')],
    }).compile();
    apps.afterwards(() => module.close());
    await module.init();
    expect((await module.get(JobsService).enqueue('mail', SECRET)).payload).toEqual({ ...ENVELOPE, key: '2026-01' });
  });
});

describe('a codec of the application', () => {
  const apps = useApps(sqliteFile);
  const marked: PayloadCodec = {
    encode: (payload) => ({ $encoded: 'reversed', data: [...JSON.stringify(payload)].reverse().join('') }),
    decode: (stored: { $encoded?: string; data: string }): unknown =>
      stored.$encoded === 'reversed' ? JSON.parse([...stored.data].reverse().join('')) : stored,
  };

  it('marks its payloads, so that no process with another codec or none runs them', async () => {
    const producer = await apps.start({ options: { codec: marked, role: 'producer' } });
    const { id } = await producer.jobs.enqueue('pay', SECRET);
    const plain = await startRecorder(apps, { pollInterval: 50 });
    await plain.app.event('released', id);
    await plain.app.close();
    const other = await startRecorder(apps);
    await other.app.event('released', id);
    expect(
      apps.log.of('warn', "the payload is encoded ('$encoded'), and the codec of this process does not decode it"),
    ).toHaveLength(1);
    const right = await startRecorder(apps, { codec: marked });
    await right.app.event('completed', id);
    expect([plain.received, other.received, right.received]).toEqual([[], [], [SECRET]]);
    expect(apps.log.of('warn', 'codec.encode')).toEqual([]);
  });

  it('is logged once when it does not mark what it encodes', async () => {
    const { jobs } = await apps.start({ options: { codec: base64 } });
    await jobs.enqueueMany([1, 2].map((payload) => ({ topic: 'pay', payload })));
    expect(apps.log.of('warn', "codec.encode returned a value without the member '$encoded'")).toHaveLength(1);
  });

  const base64: PayloadCodec = {
    encode: async (payload, { topic }) => {
      await Promise.resolve();
      if (payload === 'refused') throw new TypeError(`no ${topic}`);
      return Buffer.from(JSON.stringify(payload)).toString('base64');
    },
    decode: async (stored: string) => {
      await Promise.resolve();
      return JSON.parse(Buffer.from(stored, 'base64').toString()) as unknown;
    },
  };

  it('may return promises', async () => {
    const { app, received } = await startRecorder(apps, { ...encrypted, codec: base64 });
    const { id, payload } = await app.jobs.enqueue('pay', SECRET);
    expect(payload).toBe(Buffer.from(JSON.stringify(SECRET)).toString('base64'));
    await app.event('completed', id);
    expect(received).toEqual([SECRET]);
  });

  it('rejects an enqueue with its own error when it throws, and fails the attempt when it cannot decode', async () => {
    const { app } = await startRecorder(apps, { ...encrypted, codec: base64, maxRetries: 1 });
    await expect(app.jobs.enqueue('pay', 'refused')).rejects.toThrow(new TypeError('no pay'));
    expect(await app.rows.count()).toBe(0);
    await app.jobs.pause('pay');
    const { id } = await app.jobs.enqueue('pay', SECRET);
    await app.rows.update(id, { payload: 'not JSON' });
    await app.jobs.resume('pay');
    expect(await app.jobAfter('failed', id)).toMatchObject({ retries: 1, errors: [{ attempt: 1 }, { attempt: 2 }] });
  });
});
