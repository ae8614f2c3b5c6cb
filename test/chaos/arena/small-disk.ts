import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const SIZE = '8m';

/** A file system in memory that can be filled to its last block. To mount one takes the rights of root. */
export class SmallDisk {
  private constructor(private readonly folder: string) {}

  /** @throws when this process may not mount anything. */
  static mount(folder: string): SmallDisk {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0755`, 'chaos', folder], { stdio: 'pipe' });
    return new SmallDisk(folder);
  }

  /** Takes all blocks that are free, and all that become free meanwhile. */
  fill(): void {
    const file = openSync(this.ballast, 'a');
    try {
      while (statfsSync(this.folder).bavail > 0) writeSync(file, Buffer.alloc(4_096));
    } catch {
      // Somebody else took the last block.
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.ballast, { force: true });
  }

  unmount(): void {
    execFileSync('umount', ['-l', this.folder], { stdio: 'pipe' });
  }

  private get ballast(): string {
    return join(this.folder, 'ballast');
  }
}
