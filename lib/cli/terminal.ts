import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { escapeCharacters } from '../core/text.js';

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof STYLES;

/** The streams of a process, and its environment. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

/** Writes results to stdout, and messages and questions to stderr. Uses colours only on a terminal and without NO_COLOR. */
export class Terminal {
  constructor(private readonly host: Host) {}

  /** Writes a line of the result. */
  print(line = ''): void {
    this.host.stdout.write(`${line}\n`);
  }

  printJson(value: unknown): void {
    // JSON leaves these as they are: control characters of 8-bit terminals, and changes of the direction of text.
    this.print(escapeCharacters(JSON.stringify(value, null, 2), /[\u007f-\u009f\p{Bidi_Control}]/gu));
  }

  /** Writes a line that is not part of the result. */
  note(line: string): void {
    this.host.stderr.write(`${escapeLines(line)}\n`);
  }

  paint(style: Style, text: string): string {
    return this.host.stdout.isTTY && !this.host.env.NO_COLOR ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
  }

  get canAsk(): boolean {
    return this.host.stdin.isTTY === true;
  }

  /** Asks a question. Only `y` and `yes` agree. */
  async ask(question: string): Promise<boolean> {
    this.host.stderr.write(`${escapeLines(question)} [y/N] `);
    const lines = createInterface({ input: this.host.stdin });
    const answer = await new Promise<string>((resolve) => {
      lines.once('line', resolve);
      // The end of the input is no agreement.
      lines.once('close', () => resolve(''));
    });
    lines.close();
    return /^y(es)?$/i.test(answer.trim());
  }

  /** Writes rows below their headers, in columns that are as wide as their longest cell. Headers that begin with '>' align right. */
  printTable(headers: readonly string[], rows: readonly (readonly Cell[])[]): void {
    const table = rows.map((row) => row.map(toCell));
    const names = headers.map((header) => header.replace('>', ''));
    const widths = names.map((name, column) => Math.max(name.length, ...table.map((row) => row[column]!.text.length)));
    const line = (cells: readonly StyledCell[]): string =>
      cells
        .map(({ text, style }, column) => {
          const padding = ' '.repeat(widths[column]! - text.length);
          const shown = style ? this.paint(style, text) : text;
          const isLast = column === cells.length - 1;
          return headers[column]!.startsWith('>') ? padding + shown : isLast ? shown : shown + padding;
        })
        .join('  ')
        .trimEnd();
    this.print(line(names.map((text) => ({ text, style: 'dim' }))));
    table.forEach((row) => this.print(line(row)));
  }

  /** Writes pairs of name and value, one a line. Leaves out pairs without a value. */
  printPairs(pairs: readonly (readonly [name: string, value: Cell | null | undefined])[]): void {
    const shown = pairs.filter((pair): pair is readonly [string, Cell] => pair[1] != null && pair[1] !== '');
    const width = Math.max(0, ...shown.map(([name]) => name.length));
    for (const [name, value] of shown) {
      const { text, style } = toCell(value);
      this.print(`${this.paint('dim', name.padEnd(width))}  ${style ? this.paint(style, text) : text}`);
    }
  }
}

interface StyledCell {
  readonly text: string;
  readonly style?: Style | undefined;
}

/** A cell of a table. */
export type Cell = string | number | StyledCell;

function toCell(cell: Cell): StyledCell {
  const { text, style } = typeof cell === 'object' ? cell : { text: String(cell), style: undefined };
  return { text: escapeLines(text), style };
}

/** Shows control characters: text of jobs must neither move the cursor, nor forge lines, nor change the direction of text. */
function escapeLines(text: string): string {
  return escapeCharacters(text, /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu);
}

/** The same for text of several lines. */
export function escapeText(text: string): string {
  return escapeCharacters(text, /\p{Bidi_Control}|[^\P{Cc}\n\t]/gu);
}
