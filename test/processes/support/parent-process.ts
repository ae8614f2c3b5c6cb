import type { Command, ProgramSettings, Report } from './protocol.js';

/** The test that started this process. */
export const parentProcess = {
  settings: JSON.parse(process.argv[2] ?? '{}') as ProgramSettings,

  report(report: Report): void {
    process.send?.(report);
  },

  /** Handles commands. The listener does not keep the process alive, and the process exits with the test run. */
  onCommand(handle: (command: Command) => void): void {
    process.on('message', handle);
    process.on('disconnect', () => process.exit(1));
    process.channel?.unref();
  },
};
