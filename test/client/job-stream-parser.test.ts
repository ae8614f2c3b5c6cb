import fc from 'fast-check';
import type { ServerEvent } from '../../client/job-stream.js';
import { EventParser } from '../../client/job-stream.js';

const encoder = new TextEncoder();

function parse(...chunks: (string | Uint8Array)[]): ServerEvent[] {
  const parser = new EventParser();
  return chunks.flatMap((chunk) => [...parser.push(typeof chunk === 'string' ? encoder.encode(chunk) : chunk)]);
}

/** Each byte is its own chunk. */
function parseBytes(text: string): ServerEvent[] {
  return parse(...Array.from(encoder.encode(text), (byte) => Uint8Array.of(byte)));
}

describe('the parser of server-sent events', () => {
  it.each<[name: string, text: string, events: ServerEvent[]]>([
    ['an event with a type', 'event: stats\ndata: {"a":1}\n\n', [{ type: 'stats', data: '{"a":1}' }]],
    ['an event without a type', 'data: a\n\n', [{ type: 'message', data: 'a' }]],
    ['data of several lines', 'data: a\ndata:\ndata: b\n\n', [{ type: 'message', data: 'a\n\nb' }]],
    ['only the first space off', 'data:  a \ndata:b\n\n', [{ type: 'message', data: ' a \nb' }]],
    ['a colon in the data', 'data: a: b\n\n', [{ type: 'message', data: 'a: b' }]],
    ['a name without a colon', 'data\n\n', [{ type: 'message', data: '' }]],
    ['comments', ': beat\n\ndata: a\n:beat\ndata: b\n\n:\n\n', [{ type: 'message', data: 'a\nb' }]],
    ['no event without data', 'event: stats\n\ndata: a\n\n', [{ type: 'message', data: 'a' }]],
    ['unknown names and ids', 'id: 7\nfoo: bar\ndata: a\n\n', [{ type: 'message', data: 'a' }]],
    ['no event that is not ended', 'data: a\n\ndata: b\n', [{ type: 'message', data: 'a' }]],
    ['a mark at the beginning', '\uFEFFdata: a\n\n', [{ type: 'message', data: 'a' }]],
    [
      'all ends of lines',
      'data: a\r\n\r\ndata: b\r\rdata: c\n\ndata: d\r\n\ndata: e\r\ndata: f\n\r\n',
      ['a', 'b', 'c', 'd', 'e\nf'].map((data) => ({ type: 'message', data })),
    ],
    ['characters beyond ASCII', 'event: changed\r\ndata: "é😀"\r\n\r\n', [{ type: 'changed', data: '"é😀"' }]],
  ])('parses %s, whole and byte by byte', (_, text, events) => {
    expect(parse(text)).toEqual(events);
    expect(parseBytes(text)).toEqual(events);
  });

  it('yields an event with its last byte without waiting for the byte after a CR', () => {
    expect(parse('data: a\r', '\r')).toEqual([{ type: 'message', data: 'a' }]);
  });

  it('yields the same events however the bytes are split', () => {
    const line = fc.constantFrom(
      'data: a',
      'data: é😀',
      'data',
      'event: x',
      ': c',
      'id: 1',
      '',
      '',
      'retry: 5',
      'data:b',
    );
    const end = fc.constantFrom('\n', '\r', '\r\n');
    const text = fc.array(fc.tuple(line, end)).map((lines) => lines.flat().join(''));
    fc.assert(
      fc.property(text, fc.array(fc.nat({ max: 200 })), (stream, positions) => {
        const bytes = encoder.encode(stream);
        const cuts = [0, ...positions.filter((at) => at <= bytes.length).sort((a, b) => a - b), bytes.length];
        const chunks = cuts.slice(1).map((cut, index) => bytes.slice(cuts[index], cut));

        expect(parse(...chunks)).toEqual(parse(bytes));
      }),
    );
  });

  it('stores the reconnect time of the server', () => {
    const parser = new EventParser();
    expect(parser.retryMs).toBeUndefined();
    expect([...parser.push(encoder.encode('retry: 2000\nretry: soon\nretry:\nretry: -1\n\n'))]).toEqual([]);
    expect(parser.retryMs).toBe(2000);
  });
});
