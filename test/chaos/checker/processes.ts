import type { Evidence } from '../cluster/evidence.js';
import { EXIT_OF_HANDLER } from '../protocol.js';
import type { Violation } from './violation.js';

/** No process ends by itself, and each that is asked to end does. */
export function checkProcesses({ departures, history }: Evidence): Violation[] {
  const exits = new Set(history.filter(({ kind }) => kind === 'exits').map(({ by }) => by));
  const strange = departures.filter(({ name, code, signal, sentSignal: told }) => {
    const isKilled = signal === 'SIGKILL' && told === 'SIGKILL';
    const hasObeyed = code === 0 && told !== null;
    const isHandlers = code === EXIT_OF_HANDLER && exits.has(name);
    return !isKilled && !hasObeyed && !isHandlers;
  });
  return strange.map(({ name, code, signal, sentSignal: told, output }) => ({
    promise: 'dead',
    detail: `${name} ended with ${signal ?? code}, told ${told ?? 'nothing'}; it said:\n${output.slice(-1_500)}`,
  }));
}

/** After a fault is over, jobs begin when they are announced, not when the next poll comes. */
export function checkProbes({ probes }: Evidence): Violation[] {
  const late = probes.filter(({ waitedMs, allowedMs }) => waitedMs > allowedMs);
  // One late job may be the machine's doing.
  return late.length * 2 <= probes.length
    ? []
    : [{ promise: 'deaf', detail: `of ${probes.length} jobs ${late.length} began late, one ${late[0]!.waitedMs} ms` }];
}
