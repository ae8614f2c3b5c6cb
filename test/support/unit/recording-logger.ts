import type { JobsLogger } from '../../../lib/core/logger.js';

type Level = 'debug' | 'log' | 'warn' | 'error';

/** A logger that records its lines. */
export class RecordingLogger implements JobsLogger {
  readonly lines: { readonly level: Level; readonly message: string; readonly stack?: string }[] = [];

  debug(message: string): void {
    this.lines.push({ level: 'debug', message });
  }

  log(message: string): void {
    this.lines.push({ level: 'log', message });
  }

  warn(message: string): void {
    this.lines.push({ level: 'warn', message });
  }

  error(message: string, stack?: string): void {
    this.lines.push({ level: 'error', message, stack });
  }

  /** The messages of a level, oldest first. */
  of(level: Level): string[] {
    return this.lines.filter((line) => line.level === level).map(({ message }) => message);
  }
}
