/** One event of a stream of server-sent events. */
export interface ServerEvent {
  /** `message` when the server gave none. */
  type: string;
  data: string;
}

/**
 * Reads server-sent events from chunks of bytes, wherever these are cut. Lines end with CRLF, LF or CR; comments and
 * event ids are skipped; an event that is not ended by a blank line does not count.
 */
export class EventParser {
  /** How long to wait before connecting again, in ms, when the stream said so. */
  retryMs: number | undefined;

  readonly #decoder = new TextDecoder();
  /** The line that has not ended yet. */
  #rest = '';
  /** A CR ended the last line: an LF now belongs to it. */
  #afterCarriageReturn = false;
  #type = '';
  #data: string[] = [];

  /** The events that this chunk completes. */
  *push(chunk: Uint8Array): Generator<ServerEvent, void, undefined> {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (text === '') {
      return;
    }
    if (this.#afterCarriageReturn && text.startsWith('\n')) {
      text = text.slice(1);
    }
    this.#afterCarriageReturn = text.endsWith('\r');
    const lines = text.split(/\r\n|\n|\r/);
    lines[0] = this.#rest + lines[0];
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = this.#take(line);
      if (event) {
        yield event;
      }
    }
  }

  #take(line: string): ServerEvent | undefined {
    if (line === '') {
      return this.#end();
    }
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') {
      this.#type = value;
    } else if (name === 'data') {
      this.#data.push(value);
    } else if (name === 'retry' && /^\d+$/.test(value)) {
      this.retryMs = Number(value);
    }
    return undefined;
  }

  #end(): ServerEvent | undefined {
    const event = { type: this.#type || 'message', data: this.#data.join('\n') };
    const isEvent = this.#data.length > 0;
    this.#type = '';
    this.#data = [];
    return isEvent ? event : undefined;
  }
}
