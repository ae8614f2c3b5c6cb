import { EventParser } from '../../../client/event-parser.js';

/** One event of a stream, with its data parsed. */
export interface StreamedEvent {
  readonly type: string;
  readonly data: unknown;
}

/** A stream of events that a test reads. */
export class OpenStream {
  /** Everything that came, as text. */
  text = '';
  private readonly events: StreamedEvent[] = [];
  private readonly parser = new EventParser();
  private readonly decoder = new TextDecoder();
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(
    readonly response: Response,
    private readonly leave: AbortController,
  ) {
    this.reader = response.body!.getReader();
  }

  get type(): string {
    return this.response.headers.get('Content-Type') ?? '';
  }

  /** The next event of this type, which is taken out; others stay. @throws Error when the stream ends first */
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

  /** Reads until this text has come. @throws Error when the stream ends first */
  async until(part: string): Promise<void> {
    while (!this.text.includes(part)) {
      if (!(await this.read())) {
        throw new Error(`the stream ended without '${part}': ${this.text}`);
      }
    }
  }

  /** Resolves when the server has ended the stream. */
  async ended(): Promise<void> {
    while (await this.read());
  }

  /** Leaves it, as a page does that is closed. */
  async close(): Promise<void> {
    this.leave.abort();
    await this.reader.closed.catch(() => undefined);
  }

  private async read(): Promise<boolean> {
    const { done, value } = await this.reader.read();
    if (done) {
      return false;
    }
    this.text += this.decoder.decode(value, { stream: true });
    for (const { type, data } of this.parser.push(value)) {
      this.events.push({ type, data: JSON.parse(data) as unknown });
    }
    return true;
  }
}
