import { parentProcess } from './parent-process.js';

/** Where handlers wait until the test lets them go. */
export class Gate {
  private letGo!: () => void;
  private readonly opened = new Promise<void>((resolve) => (this.letGo = resolve));

  /** Opens when the test says so; obeys its command to pause, too. */
  constructor() {
    parentProcess.onCommand((command) => {
      if (command === 'open') {
        this.letGo();
      } else if (command === 'pause') {
        // Between two ticks: better-sqlite3 is synchronous, so no lock of the file is held now.
        process.kill(process.pid, 'SIGSTOP');
      }
    });
  }

  /** @throws the signal's reason, when one is given and it aborts. */
  async pass(signal?: AbortSignal): Promise<void> {
    if (!signal) {
      return this.opened;
    }
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    await Promise.race([this.opened, aborted]);
  }
}
