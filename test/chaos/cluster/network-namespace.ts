import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';

/** A hardware address that no network card has. */
const UNKNOWN_ADDRESS = '02:00:00:00:00:01';

/** A network namespace with one virtual cable to this machine. It needs Linux and root. */
export class NetworkNamespace {
  /** The address of this machine on the cable. */
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

  /** Whether this process may create a namespace. */
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

  /** The command that starts a program in the namespace. */
  get command(): readonly [program: string, ...args: string[]] {
    return ['ip', 'netns', 'exec', this.name];
  }

  /** Drops all packets in both directions. No connection gets an error. */
  cut(): void {
    const drop = (...end: string[]): void => ip(...end, 'lladdr', UNKNOWN_ADDRESS, 'nud', 'permanent');
    drop('neigh', 'replace', this.inside, 'dev', this.name);
    drop('-n', this.name, 'neigh', 'replace', this.outside, 'dev', this.name);
  }

  /** Transmits packets again. */
  restore(): void {
    ip('neigh', 'del', this.inside, 'dev', this.name);
    ip('-n', this.name, 'neigh', 'del', this.outside, 'dev', this.name);
  }

  /** Removes the namespace and the cable. All its processes must have ended. */
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
