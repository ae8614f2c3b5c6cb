import type { LoggerService, LogLevel } from '@nestjs/common';

export interface LogLine {
  readonly level: LogLevel;
  readonly text: string;
}

/** A logger for Nest that keeps every line of every context and level. */
export class LogRecorder implements LoggerService {
  readonly lines: LogLine[] = [];
  /** The lines that are objects. */
  readonly records: Readonly<Record<string, unknown>>[] = [];

  log = (...words: unknown[]): void => this.record('log', words);
  error = (...words: unknown[]): void => this.record('error', words);
  warn = (...words: unknown[]): void => this.record('warn', words);
  debug = (...words: unknown[]): void => this.record('debug', words);
  verbose = (...words: unknown[]): void => this.record('verbose', words);
  fatal = (...words: unknown[]): void => this.record('fatal', words);

  /** Returns the lines of a level that contain `part`. */
  of(level: LogLevel, part = ''): string[] {
    return this.lines.filter((line) => line.level === level && line.text.includes(part)).map(({ text }) => text);
  }

  private record(level: LogLevel, words: unknown[]): void {
    const [first] = words;
    if (typeof first === 'object' && first !== null && !(first instanceof Error)) {
      this.records.push(first as Record<string, unknown>);
    }
    const text = words.map((word) => (word instanceof Error ? (word.stack ?? word.message) : String(word))).join(' ');
    this.lines.push({ level, text });
  }
}
