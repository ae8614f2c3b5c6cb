import { InvalidOptionsError } from './errors.js';

/** When a job expires unless it has started: at a time, or `inMs` after it is stored. */
export type Expiry =
  { readonly at: Date; readonly inMs?: undefined } | { readonly at?: undefined; readonly inMs: number };

/** The earliest start of a job; without `runAt` it is `delayMs` from now. */
interface EarliestStart {
  readonly runAt: Date | null;
  readonly delayMs: number;
}

/** @throws InvalidOptionsError when a job expires before it is due. A job that is due now may have expired. */
export function assertDueBeforeExpiry({ runAt, delayMs }: EarliestStart, { at, inMs }: Expiry, nowMs: number): void {
  const dueMs = runAt?.getTime() ?? nowMs + delayMs;
  const expiryMs = at?.getTime() ?? nowMs + inMs!;
  if ((runAt !== null || delayMs > 0) && expiryMs <= dueMs) {
    const [due, expires] = [new Date(dueMs).toISOString(), new Date(expiryMs).toISOString()];
    throw new InvalidOptionsError(
      at ? 'expiresAt' : 'expiresIn',
      `expected a time after the earliest start ${due}, got ${expires}; the job could never start`,
    );
  }
}
