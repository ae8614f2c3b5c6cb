import 'reflect-metadata';
import { optionsFor } from './ours-data-source.mjs';
import { tableOf } from './ours-table.mjs';
export { prepare } from './ours.mjs';

/**
 * The module in a Nest application: handlers are found and called as Nest calls them.
 *
 * @type {(address: string, options: any) => Promise<import('./index.mjs').Queue>}
 */
export async function open(address, options) {
  const { NestFactory } = await import('@nestjs/core');
  const { Module } = await import('@nestjs/common');
  const { TypeOrmModule, getDataSourceToken } = await import('@nestjs/typeorm');
  const { JobsModule, JobsService } = await import('nestjs-jobs');

  // Handlers are found when the application starts, and it starts when it is told to work.
  class Work {}
  class App {}
  /** @type {any} */
  let app;
  /** @param {object} more options @param {any[]} providers */
  const assemble = (more, providers) =>
    Module({
      imports: [TypeOrmModule.forRoot(optionsFor(address)), JobsModule.forRoot({ ...options, ...more })],
      providers,
    })(App);
  /** @param {string} role @param {any[]} providers */
  const boot = async (role, providers) => {
    assemble({ role, http: false }, providers);
    app = await NestFactory.createApplicationContext(App, { logger: ['error'] });
    return app;
  };

  /** @type {any} */
  let table;
  const started = async () => {
    app ??= await boot('producer', []);
    const source = app.get(getDataSourceToken());
    table ??= tableOf(source, source);
    return app;
  };
  const jobs = async () => (await started()).get(JobsService);

  return {
    enqueue: async (payload) => (await jobs()).enqueue('work', payload),
    enqueueMany: async (payloads, { topic = 'work', delayMs } = {}) =>
      (await jobs()).enqueueMany(payloads.map((payload) => ({ topic, payload, delay: delayMs }))),
    work: async (topics, run) => {
      await giveHandlers(Work, topics, run);
      await boot('all', [Work]);
      await started();
    },
    serve: async (adminToken) => {
      assemble({ role: 'producer', http: { adminToken } }, []);
      app = await NestFactory.create(App, { logger: ['error'] });
      await app.listen(0, '127.0.0.1');
      return app.getUrl();
    },
    isDrained: async (topics) => (await started()) && table.isDrained(topics),
    tally: async (topics) => (await started()) && table.tally(topics),
    facts: async () => (await started()) && table.facts(),
    close: async () => app?.close(),
  };
}

/**
 * As the decorators would, on a class that is written down.
 *
 * @param {Function} type
 * @param {string[]} topics
 * @param {(payload: any) => Promise<void>} run
 */
async function giveHandlers(type, topics, run) {
  const { Injectable } = await import('@nestjs/common');
  const { JobHandler } = await import('nestjs-jobs');
  Injectable()(type);
  for (const [index, topic] of topics.entries()) {
    const name = `run${index}`;
    const method = async (/** @type {any} */ job) => run(job.payload);
    Object.defineProperty(type.prototype, name, { value: method, writable: true, configurable: true });
    const descriptor = Object.getOwnPropertyDescriptor(type.prototype, name);
    JobHandler(topic)(type.prototype, name, /** @type {any} */ (descriptor));
  }
}
