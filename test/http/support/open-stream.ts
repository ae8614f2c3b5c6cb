import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { EventParser } from '../../../client/job-stream.js';

/** An event of a stream, with its data parsed. */
export interface StreamedEvent {
  readonly type: string;
  readonly data: unknown;
}

/** A stream of events on its own connection. */
export class OpenStream {
  /** All text received so far. */
  text = '';
  private readonly events: StreamedEvent[] = [];
  private readonly parser = new EventParser();
  private readonly decoder = new TextDecoder();
  private readonly chunks: AsyncIterator<Buffer>;

  private constructor(readonly response: IncomingMessage) {
    this.chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Opens a stream. Does not use `fetch`, which opens a new connection after an aborted stream and keeps it open. */
  static async of(url: string, headers: Readonly<Record<string, string>>): Promise<OpenStream> {
    const sent = request(url, { headers, agent: false }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return new OpenStream(response);
  }

  get status(): number {
    return this.response.statusCode!;
  }

  get type(): string {
    return this.response.headers['content-type'] ?? '';
  }

  /** Removes and returns the next event of this type. @throws Error if the stream ends first */
  async event(type: string): Promise<StreamedEvent> {
    for (;;) {
      const index = this.events.findIndex((event) => event.type === type);
      if (index >= 0) {
        return this.events.splice(index, 1)[0]!;
      }
      if (!(await this.read())) {
        throw new Error(`the stream ended without an event '${type}': ${this.text}`);
      }
    }
  }

  /** Reads until the stream contains this text. @throws Error if the stream ends first */
  async until(part: string): Promise<void> {
    while (!this.text.includes(part)) {
      if (!(await this.read())) {
        throw new Error(`the stream ended without '${part}': ${this.text}`);
      }
    }
  }

  /** Resolves when the server ends the stream. */
  async ended(): Promise<void> {
    while (await this.read());
  }

  /** Disconnects, as a closed page does. */
  close(): void {
    this.response.destroy();
  }

  private async read(): Promise<boolean> {
    const next = await this.chunks.next();
    if (next.done) {
      return false;
    }
    const value: Buffer = next.value;
    this.text += this.decoder.decode(value, { stream: true });
    for (const { type, data } of this.parser.push(value)) {
      this.events.push({ type, data: JSON.parse(data) as unknown });
    }
    return true;
  }
}
