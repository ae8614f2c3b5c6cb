import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SIZE_MIB = 64;
const CHUNK_BYTES = 1 << 20;
const BLOCK_BYTES = 4_096;

/** A file system in memory that can be filled to its last block. To mount one takes the rights of root. */
export class SmallDisk {
  private constructor(private readonly folder: string) {}

  /** Whether this process may do that. */
  static isAllowed(): boolean {
    const folder = mkdtempSync(join(tmpdir(), 'chaos-disk-'));
    try {
      SmallDisk.mount(folder).unmount();
      return true;
    } catch {
      return false;
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** @throws when this process may not mount anything. */
  static mount(folder: string): SmallDisk {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m,mode=0755`, 'chaos', folder], { stdio: 'pipe' });
    return new SmallDisk(folder);
  }

  /** Takes all blocks that are free, and all that become free meanwhile. */
  fill(): void {
    const file = openSync(this.ballast, 'a');
    try {
      for (let free = this.freeBytes(); free > 0; free = this.freeBytes()) {
        writeSync(file, Buffer.alloc(free > CHUNK_BYTES ? CHUNK_BYTES : BLOCK_BYTES));
      }
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

  private freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  private get ballast(): string {
    return join(this.folder, 'ballast');
  }
}
