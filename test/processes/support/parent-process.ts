import type { Command, ProgramSettings, Report } from './protocol.js';

/** The test that started this process, as a program sees it. */
export const parentProcess = {
  settings: JSON.parse(process.argv[2] ?? '{}') as ProgramSettings,

  report(report: Report): void {
    process.send?.(report);
  },

  /** Takes commands. That does not keep the process alive; the end of the test run ends it. */
  onCommand(handle: (command: Command) => void): void {
    process.on('message', handle);
    process.on('disconnect', () => process.exit(1));
    process.channel?.unref();
  },
};
