import { Fill } from './fill.mjs';
import { Producer } from './producer.mjs';
import { askOverHttp } from './http.mjs';
import { askService } from './service.mjs';
import { SoakProducer, SoakWorker } from './soak.mjs';
import { countStatements } from './statements.mjs';
import { Worker } from './worker.mjs';

/*
 * One process of a measurement: a contender's queue, opened in a fresh process, that does what the parent asks. Asked as
 * { id, verb, input }, it answers { id, answer } or { id, error }.
 */

const [, , adapterPath, address, optionsJson] = process.argv;
/** @type {import('../contenders/index.mjs').Adapter} */
const adapter = await import(String(adapterPath));
const options = JSON.parse(String(optionsJson));

/** @type {import('../contenders/index.mjs').Queue} */
let queue;
/** @type {Worker} */
let worker;
/** @type {SoakProducer} */
let soakProducer;
/** @type {SoakWorker} */
let soakWorker;
const statements = countStatements();

/** @type {Record<string, (input: any) => Promise<unknown>>} */
const verbs = {
  prepare: () => adapter.prepare(String(address), options),
  open: async () => {
    queue = await adapter.open(String(address), options);
    return queue.facts();
  },
  fill: (input) => new Fill(queue).run(input),
  produce: (input) => new Producer(queue).run(input),
  work: async (input) => {
    worker = new Worker(queue, input);
    await worker.start();
  },
  isDrained: async () => worker.isDrained(),
  report: async () => worker.report(),
  tally: (topics) => queue.tally(topics),
  serve: (adminToken) => /** @type {Promise<string>} */ (queue.serve?.(adminToken)),
  http: askOverHttp,
  service: (input) => askService(queue.engine, input),
  statements: async () => statements.count(),
  transactions: async () => statements.transactions(),
  soakProduce: (input) => (soakProducer = new SoakProducer(queue, input)).start(),
  soakWork: (input) => (soakWorker = new SoakWorker(queue, input)).start(),
  soakSample: async () => ({
    ...(soakProducer ?? soakWorker).sample(),
    ...process.memoryUsage(),
    cpu: process.cpuUsage(),
  }),
  soakStop: () => soakProducer.stop(),
  soakCheck: async (input) => soakWorker.check(input),
  usage: async () => process.cpuUsage(),
  close: () => queue.close(),
  exit: async () => process.exit(0),
};

process.on('message', (/** @type {any} */ { id, verb, input }) => {
  verbs[verb]?.(input).then(
    (answer) => process.send?.({ id, answer }),
    (error) => process.send?.({ id, error: error instanceof Error ? String(error.stack) : String(error) }),
  );
});
// The parent is gone: so is whoever wants to know.
process.on('disconnect', () => process.exit(1));
process.send?.({ id: 0 });
