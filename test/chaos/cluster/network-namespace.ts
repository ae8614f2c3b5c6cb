import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';

/** The address of a network card that does not exist. */
const NOWHERE = '02:00:00:00:00:01';

/** A network of its own for processes, with one cable to this machine. Only root may create one, and only Linux has them. */
export class NetworkNamespace {
  /** The address of this machine at its end of the cable. */
  readonly outside: string;
  private readonly inside: string;
  private readonly name: string;

  private constructor() {
    const number = randomInt(1 << 14);
    this.name = `chaos${number}`;
    const [high, low] = [number >> 6, (number % 64) * 4];
    this.outside = `10.213.${high}.${low + 1}`;
    this.inside = `10.213.${high}.${low + 2}`;
  }

  /** Whether this process may do that. */
  static isAllowed(): boolean {
    try {
      NetworkNamespace.create().remove();
      return true;
    } catch {
      return false;
    }
  }

  /** @throws when this process may not create one. */
  static create(): NetworkNamespace {
    const network = new NetworkNamespace();
    network.connect();
    return network;
  }

  /** How to start a program in it. */
  get command(): readonly [program: string, ...args: string[]] {
    return ['ip', 'netns', 'exec', this.name];
  }

  /** Nothing arrives at the other end any more, in either direction, and no error says so. */
  cut(): void {
    const silence = (...end: string[]): void => ip(...end, 'lladdr', NOWHERE, 'nud', 'permanent');
    silence('neigh', 'replace', this.inside, 'dev', this.name);
    silence('-n', this.name, 'neigh', 'replace', this.outside, 'dev', this.name);
  }

  mend(): void {
    ip('neigh', 'del', this.inside, 'dev', this.name);
    ip('-n', this.name, 'neigh', 'del', this.outside, 'dev', this.name);
  }

  /** The processes in it have ended. Removes the cable too. */
  remove(): void {
    ip('netns', 'del', this.name);
  }

  private connect(): void {
    const { name } = this;
    ip('netns', 'add', name);
    try {
      ip('link', 'add', name, 'type', 'veth', 'peer', 'name', name, 'netns', name);
      ip('addr', 'add', `${this.outside}/30`, 'dev', name);
      ip('link', 'set', name, 'up');
      ip('-n', name, 'addr', 'add', `${this.inside}/30`, 'dev', name);
      ip('-n', name, 'link', 'set', name, 'up');
    } catch (error) {
      this.remove();
      throw error;
    }
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}
