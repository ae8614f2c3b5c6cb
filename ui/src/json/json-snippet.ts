import { ExactNumber } from './exact-json.js';

/** The beginning of a value as JSON on one line. Looks at no more of it than is shown, however large it is. */
export function jsonSnippet(value: unknown, lengthMax = 160): string {
  const writer = new SnippetWriter(lengthMax);
  writer.write(value);
  return writer.text;
}

class SnippetWriter {
  text = '';

  constructor(private readonly lengthMax: number) {}

  write(value: unknown): void {
    if (this.isFull) return;
    if (typeof value === 'string') this.text += JSON.stringify(value.slice(0, this.lengthMax));
    else if (value instanceof ExactNumber) this.text += value.text;
    else if (Array.isArray(value)) this.#list('[', value.keys(), ']', (index) => this.write(value[index]));
    else if (typeof value === 'object' && value !== null) this.#object(value as Record<string, unknown>);
    else this.text += String(value);
  }

  private get isFull(): boolean {
    return this.text.length > this.lengthMax;
  }

  #object(value: Record<string, unknown>): void {
    this.#list('{ ', Object.keys(value), ' }', (key) => {
      this.text += /^[A-Za-z_$][\w$]*$/.test(key) ? `${key}: ` : `${JSON.stringify(key)}: `;
      this.write(value[key]);
    });
  }

  #list<Key>(open: string, keys: Iterable<Key>, close: string, writeMember: (key: Key) => void): void {
    const start = this.text.length;
    for (const key of keys) {
      this.text += this.text.length === start ? open : ', ';
      writeMember(key);
      if (this.isFull) return;
    }
    this.text += this.text.length === start ? open.trim() + close.trim() : close;
  }
}
