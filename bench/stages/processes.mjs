import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of the kernel's accounts in a second. */
const TICKS = process.platform === 'linux' ? Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })) : NaN;

/**
 * CPU seconds of a process, of its children, and of those that have ended. Linux alone keeps such accounts in files;
 * elsewhere it is not known (NaN).
 *
 * @param {number} pid
 */
export function cpuSecondsOf(pid) {
  if (Number.isNaN(TICKS)) return NaN;
  const own = accountOf(pid);
  if (!own) return NaN;
  let ticks = own.ticks + own.ofEndedChildren;
  for (const name of readdirSync('/proc')) {
    const account = /^\d+$/.test(name) ? accountOf(Number(name)) : undefined;
    if (account?.parent === pid) ticks += account.ticks;
  }
  return ticks / TICKS;
}

/** @param {number} pid */
function accountOf(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in parentheses, may contain blanks.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number);
    return {
      parent: Number(fields[1]),
      ticks: Number(user) + Number(system),
      ofEndedChildren: Number(childrenUser) + Number(childrenSystem),
    };
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}
