import type { LoggerService, LogLevel } from '@nestjs/common';

export interface LogLine {
  readonly level: LogLevel;
  readonly text: string;
}

/** A logger for Nest that keeps every line, of all contexts and levels. */
export class LogRecorder implements LoggerService {
  readonly lines: LogLine[] = [];

  log = (...words: unknown[]): void => this.record('log', words);
  error = (...words: unknown[]): void => this.record('error', words);
  warn = (...words: unknown[]): void => this.record('warn', words);
  debug = (...words: unknown[]): void => this.record('debug', words);
  verbose = (...words: unknown[]): void => this.record('verbose', words);
  fatal = (...words: unknown[]): void => this.record('fatal', words);

  /** The lines of a level, or those that hold a text. */
  of(level: LogLevel, part = ''): string[] {
    return this.lines.filter((line) => line.level === level && line.text.includes(part)).map(({ text }) => text);
  }

  private record(level: LogLevel, words: unknown[]): void {
    const text = words.map((word) => (word instanceof Error ? (word.stack ?? word.message) : String(word))).join(' ');
    this.lines.push({ level, text });
  }
}
