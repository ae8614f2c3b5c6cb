import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('child/main.mjs', import.meta.url));

/** A process of a measurement, seen from the one that leads it. */
export class Actor {
  /** Jobs that its worker has begun to run. */
  seen = 0;
  #asked = 0;
  /** @type {Map<number, { resolve: (answer: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();

  /** @param {import('node:child_process').ChildProcess} child */
  constructor(child) {
    this.child = child;
    child.on('message', (/** @type {any} */ message) => this.#hear(message));
    child.on('exit', (code, signal) => this.#fail(new Error(`the process ended with ${signal ?? code}`)));
  }

  /**
   * @param {import('./contenders/index.mjs').Contender} contender
   * @param {string} address
   * @param {string[]} [execArgv]
   */
  static async start(contender, address, execArgv = []) {
    const adapter = fileURLToPath(new URL(`contenders/${contender.adapter}`, import.meta.url));
    const child = fork(PROGRAM, [adapter, address, JSON.stringify(contender.options)], {
      execArgv,
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: '' },
    });
    const actor = new Actor(child);
    await new Promise((resolve, reject) => actor.#waiting.set(0, { resolve, reject }));
    return actor;
  }

  /** @param {string} verb @param {unknown} [input] @returns {Promise<any>} */
  ask(verb, input) {
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.child.send({ id, verb, input });
    });
  }

  /**
   * Ends the process; whatever it still has to say is not waited for, unless it is its profile.
   *
   * @param {boolean} [isProfiled]
   */
  async end(isProfiled = false) {
    this.#waiting.clear();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    if (isProfiled) this.child.send({ id: -1, verb: 'exit' });
    else this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }

  /** @param {{ id?: number, answer?: unknown, error?: string, seen?: number }} message */
  #hear({ id, answer, error, seen }) {
    this.seen = seen ?? this.seen;
    if (id === undefined) return this.onSeen();
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(answer);
    else waiting?.reject(new Error(error));
  }

  /** Called whenever it has told how far it is. */
  onSeen = () => {};

  /** @param {Error} error */
  #fail(error) {
    this.#waiting.forEach(({ reject }) => reject(error));
    this.#waiting.clear();
  }
}
