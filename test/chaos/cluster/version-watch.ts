import type { VersionSample } from './evidence.js';
import type { Member } from './member.js';

/** What applies, as the rows have it. */
export interface AppliedRow {
  readonly limits: number | string | null;
  readonly retention: string | null;
  readonly dead_letters: string | null;
  readonly schedule: string | null;
}

interface WatchedProcess {
  readonly version: number;
  readySinceMs: number | null;
  goneSinceMs: number | null;
}

const HOUR_MS = 3_600_000;

/** Records which versions of the application run, and which of their definitions apply. Times are monotonic. */
export class VersionWatch {
  readonly samples: VersionSample[] = [];
  private readonly processes: WatchedProcess[] = [];

  watch(member: Member): void {
    const watched: WatchedProcess = { version: member.settings.version, readySinceMs: null, goneSinceMs: null };
    this.processes.push(watched);
    void member.ready.then(() => (watched.readySinceMs = performance.now()));
    void member.gone.then(() => (watched.goneSinceMs = performance.now()));
  }

  add({ limits, retention, dead_letters: deadLetters, schedule }: AppliedRow): void {
    const nowMs = performance.now();
    this.samples.push({
      applied: {
        limits: limits === null ? null : Number(limits),
        retention: toNumber(retention, /"completed": ?(\d+)/, HOUR_MS),
        'dead letters': toNumber(deadLetters, /"dead_letters_(\d+)"/),
        schedule: toNumber(schedule, /^(\d+) /),
      },
      processes: this.processes.map(({ version, readySinceMs, goneSinceMs }) => ({
        version,
        readyMs: readySinceMs === null ? 0 : nowMs - readySinceMs,
        goneMs: goneSinceMs === null ? null : nowMs - goneSinceMs,
      })),
    });
  }
}

function toNumber(text: string | null, pattern: RegExp, unit = 1): number | null {
  const found = text === null ? null : pattern.exec(text);
  return found && Number(found[1]) / unit;
}
