import { Redis } from 'ioredis';

/** A queue of BullMQ needs no tables. */
export async function prepare() {}

/** @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>} */
export async function open(address, { queue: queueOptions, worker: workerOptions, globalConcurrency }) {
  const { FlowProducer, Queue, Worker } = await import('bullmq');
  const { hostname: host, port } = new URL(address);
  const connection = { host, port: Number(port) };
  const redis = new Redis({ ...connection, maxRetriesPerRequest: null });
  /** @type {Map<string, import('bullmq').Queue>} */
  const queues = new Map();
  /** @type {import('bullmq').Worker[]} */
  const workers = [];

  /** @param {string} topic */
  const queueOf = (topic) => {
    const queue = queues.get(topic) ?? new Queue(topic, { connection, ...queueOptions });
    queues.set(topic, queue);
    return queue;
  };
  /** @param {string[]} topics @param {string[]} states */
  const count = async (topics, ...states) => {
    const counts = topics.map((topic) => queueOf(topic).getJobCountByTypes(.../** @type {any[]} */ (states)));
    return (await Promise.all(counts)).reduce((all, one) => all + one, 0);
  };

  return {
    enqueue: (payload) => queueOf('work').add('job', payload),
    enqueueMany: (payloads, { topic = 'work', delayMs } = {}) =>
      queueOf(topic).addBulk(payloads.map((data) => ({ name: 'job', data, opts: { delay: delayMs } }))),
    enqueueFlow: async (payloads, flow) => {
      const jobs = payloads.map((data) => ({
        name: 'job',
        queueName: 'work',
        data,
        opts: queueOptions?.defaultJobOptions,
      }));
      const producer = new FlowProducer({ connection });
      // BullMQ calls a job that waits the parent of the others.
      await producer.add(
        flow === 'fan-in'
          ? { .../** @type {any} */ (jobs.at(-1)), children: jobs.slice(0, -1) }
          : jobs.slice(1).reduce((before, job) => ({ ...job, children: [before] }), /** @type {any} */ (jobs[0])),
      );
      await producer.close();
    },
    work: async (topics, run) => {
      for (const topic of topics) {
        if (globalConcurrency) await queueOf(topic).setGlobalConcurrency(globalConcurrency);
        const worker = new Worker(topic, ({ data }) => run(data), { connection, ...workerOptions });
        worker.on('error', (error) => console.error(error));
        workers.push(worker);
      }
    },
    isDrained: async (topics) => (await count(topics, 'wait', 'active', 'prioritized', 'paused')) === 0,
    tally: async (topics) => ({
      finished: await count(topics, 'completed'),
      unfinished: await count(topics, 'wait', 'active', 'prioritized', 'paused', 'failed'),
      repeated: 0,
    }),
    facts: async () => {
      const settings = await Promise.all(
        ['appendonly', 'appendfsync', 'save'].map((name) => redis.config('GET', name)),
      );
      return Object.fromEntries(/** @type {[string, string][]} */ (settings));
    },
    close: async () => {
      await Promise.all(workers.map((worker) => worker.close(true)));
      await Promise.all([...queues.values()].map((queue) => queue.close()));
      redis.disconnect();
    },
  };
}
