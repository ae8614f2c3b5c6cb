import { parentProcess } from './parent-process.js';

/** A gate that handlers wait at until the test opens it. */
export class Gate {
  private resolve!: () => void;
  private readonly opened = new Promise<void>((resolve) => (this.resolve = resolve));

  /** Opens at the command `open`. Also handles the command `pause`. */
  constructor() {
    parentProcess.onCommand((command) => {
      if (command === 'open') {
        this.resolve();
      } else if (command === 'pause') {
        // In its own task: better-sqlite3 is synchronous, so this process holds no lock of the file now.
        process.kill(process.pid, 'SIGSTOP');
      }
    });
  }

  /** @throws the reason of the signal when it aborts. */
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
