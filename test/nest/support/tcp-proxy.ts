import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/** A network between an application and its database server that a test can take away. */
export class TcpProxy {
  private server: Server | undefined;
  private port = 0;
  private isStalled = false;
  private fatal: string | undefined;
  private readonly sockets = new Set<Socket>();

  private constructor(private readonly target: URL) {}

  /** In front of the server of a URL, not open yet. */
  static before(url: string): TcpProxy {
    return new TcpProxy(new URL(url));
  }

  /** The URL with the proxy in the place of the server. */
  get url(): string {
    const url = new URL(this.target);
    url.host = `127.0.0.1:${this.port}`;
    return url.href;
  }

  /** Accepts connections, on the same port each time. */
  async open(): Promise<void> {
    this.server = createServer((client) => this.join(client));
    this.server.listen(this.port, '127.0.0.1');
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

  /** Nothing goes through any more, and nobody is told. */
  stall(): void {
    this.isStalled = true;
    this.sockets.forEach((socket) => socket.pause());
  }

  /** New connections go through again; what was stalled stays lost. */
  restart(): void {
    this.isStalled = false;
  }

  /** From now on a client that sends this text is cut off before it has an answer; `undefined` ends that. */
  cutOff(text: string | undefined): void {
    this.fatal = text;
  }

  private join(client: Socket): void {
    const server = connect(Number(this.target.port), this.target.hostname);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on('data', (chunk) => {
        if (this.fatal !== undefined && chunk.includes(this.fatal)) {
          socket.destroy();
        } else {
          other.write(chunk);
        }
      });
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
      if (this.isStalled) socket.pause();
    }
  }
}
