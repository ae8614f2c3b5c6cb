import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/**
 * Where a client is cut off: before what it sends has reached the server, or just after; or before, and neither is told, as when
 * a machine loses its power.
 */
export type CutMoment = 'unsent' | 'sent' | 'untold';

/** The first byte of a notification; it comes alone when the client is idle. */
const NOTIFICATION = 'A'.charCodeAt(0);

/** With which a server says that a new connection is ready. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

interface Hold {
  readonly spared: string;
  readonly done: () => void;
}

interface Cut {
  readonly text: string;
  readonly moment: CutMoment;
  readonly done: () => void;
}

/** A network between an application and its database server that a test can take away. */
export class TcpProxy {
  private server: Server | undefined;
  private port = 0;
  private isStalled = false;
  private fatal: string | undefined;
  private cut: Cut | undefined;
  private lagMs = 0;
  private isMute = false;
  private hold: Hold | undefined;
  private readonly sockets = new Set<Socket>();
  /** Towards the server, of clients that were cut off. */
  private readonly alone = new WeakSet<Socket>();

  private constructor(
    private target: URL,
    private readonly host: string,
  ) {}

  /** Creates a closed proxy to the server of a URL. @param host the local address on which it listens. */
  static before(url: string, host = '127.0.0.1'): TcpProxy {
    return new TcpProxy(new URL(url), host);
  }

  /** The URL with the proxy in the place of the server. */
  get url(): string {
    const url = new URL(this.target);
    url.host = `${this.host}:${this.port}`;
    return url.href;
  }

  /** Accepts connections, on the same port each time. */
  async open(): Promise<void> {
    this.server = createServer({ noDelay: true }, (client) => this.join(client));
    this.server.listen(this.port, this.host);
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** Cuts every connection and refuses new ones. */
  async close(): Promise<void> {
    this.isStalled = false;
    const { server } = this;
    this.server = undefined;
    if (server) {
      server.close();
      this.sockets.forEach((socket) => socket.destroy());
      await once(server, 'close');
    }
  }

  /** Connects new clients to the server of this URL. Open connections do not change. */
  retarget(url: string): void {
    this.target = new URL(url);
  }

  /** Transmits nothing. Connections stay open. */
  stall(): void {
    this.isStalled = true;
    this.sockets.forEach((socket) => socket.pause());
  }

  /** Transmits again, the held data first. */
  resume(): void {
    this.isStalled = false;
    this.sockets.forEach((socket) => socket.resume());
  }

  /** New connections go through again; what was stalled stays lost. */
  restart(): void {
    this.isStalled = false;
  }

  /** From now on a client that sends this text is cut off before it has an answer; `undefined` ends that. */
  cutOff(text: string | undefined): void {
    this.fatal = text;
  }

  /** Cuts off the next client that sends this text, and resolves when it has. */
  cutNext(text: string, moment: CutMoment): Promise<void> {
    return new Promise((done) => (this.cut = { text, moment, done }));
  }

  /** Delays data from now on by this time, in each direction. */
  lag(ms: number): void {
    this.lagMs = ms;
  }

  /** From now on no notification of a server comes through, as in a pool that gives a client a connection for each transaction. */
  mute(): void {
    this.isMute = true;
  }

  /**
   * Keeps back what tells the next new client that its connection is ready, until the server says something else: both
   * arrive at once then. Clients are spared that say this text first. Resolves when it has something to keep.
   */
  holdReady(spared: string): Promise<void> {
    return new Promise((done) => (this.hold = { spared, done }));
  }

  private join(client: Socket): void {
    const server = connect({ port: Number(this.target.port), host: this.target.hostname, noDelay: true });
    let greeting: Buffer | undefined;
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(socket);
      const line = new Line(other);
      let held: Buffer | undefined;
      socket.on('data', (fresh) => {
        const chunk = held ? Buffer.concat([held, fresh]) : fresh;
        held = undefined;
        if (socket === client) greeting ??= chunk;
        if (this.hold && socket === server && chunk.includes(READY) && !greeting?.includes(this.hold.spared)) {
          held = chunk;
          this.hold.done();
          this.hold = undefined;
          return;
        }
        if (this.fatal !== undefined && chunk.includes(this.fatal)) {
          socket.destroy();
        } else if (this.cut && socket === client && chunk.includes(this.cut.text)) {
          this.cutNow(this.cut, client, server, chunk);
        } else if (!(this.isMute && socket === server && chunk[0] === NOTIFICATION)) {
          line.send(chunk, this.lagMs);
        }
      });
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        if (!this.alone.has(other)) other.destroy();
      });
      if (this.isStalled) socket.pause();
    }
  }

  private cutNow({ moment, done }: Cut, client: Socket, server: Socket, chunk: Buffer): void {
    this.cut = undefined;
    done();
    if (moment === 'untold') {
      this.alone.add(server);
      client.pause();
      server.pause();
      return;
    }
    if (moment === 'sent') {
      // The server reads what was sent before it reads the end. Its answer goes nowhere.
      this.alone.add(server);
      server.end(chunk);
    }
    client.destroy();
  }
}

/** One direction of a connection. What is sent arrives in its order, however the lag changes. */
class Line {
  private readonly waiting: { readonly chunk: Buffer; readonly dueMs: number }[] = [];

  constructor(private readonly to: Socket) {}

  send(chunk: Buffer, lagMs: number): void {
    if (lagMs === 0 && this.waiting.length === 0) {
      this.write(chunk);
      return;
    }
    this.waiting.push({ chunk, dueMs: performance.now() + lagMs });
    setTimeout(() => this.deliver(), lagMs);
  }

  private deliver(): void {
    while (this.waiting.length > 0 && this.waiting[0]!.dueMs <= performance.now() + 1) {
      this.write(this.waiting.shift()!.chunk);
    }
    if (this.waiting.length > 0) setTimeout(() => this.deliver(), 1);
  }

  private write(chunk: Buffer): void {
    if (this.to.writable) this.to.write(chunk);
  }
}
