import { Cron } from 'croner';
import { messages } from '../messages/messages.js';

/** A pattern as the form has it. */
export type DraftPattern = string | { readonly everyMs: number; readonly anchorMs: number };

/** The next ticks of a draft, or why it has none. */
export type Preview = { ok: true; ticks: readonly string[] } | { ok: false; message: string };

const TICKS_SHOWN = 5;

interface PreviewOptions {
  readonly zone: string;
  /** Ticks after this moment, in milliseconds. */
  readonly from: number;
  /** Ticks between these moments only. */
  readonly startAt?: string | undefined;
  readonly endAt?: string | undefined;
}

/** Computes ticks after a moment as the server does. The server checks the pattern again. */
export function previewTicks(pattern: DraftPattern, { zone, from, startAt, endAt }: PreviewOptions): Preview {
  try {
    const next = typeof pattern === 'string' ? cronTicks(pattern.trim(), zone) : intervalTicks(pattern);
    const end = endAt === undefined ? Infinity : Date.parse(endAt);
    const ticks: string[] = [];
    // One millisecond earlier: a tick at the start counts.
    let tick = next(startAt === undefined ? from : Math.max(from, Date.parse(startAt) - 1));
    while (tick !== null && tick <= end && ticks.length < TICKS_SHOWN) {
      ticks.push(new Date(tick).toISOString());
      tick = next(tick);
    }
    return ticks.length > 0 ? { ok: true, ticks } : { ok: false, message: messages.schedules.noMoment };
  } catch (error) {
    return { ok: false, message: (error as Error).message.replace(/^\w+: /, '') };
  }
}

type NextTick = (after: number) => number | null;

function cronTicks(text: string, zone: string): NextTick {
  const fields = text === '' ? 0 : text.split(/\s+/).length;
  if (fields !== 5 && fields !== 6) {
    throw new Error(messages.schedules.fieldsNeeded(fields));
  }
  const cron = new Cron(text, { timezone: zone, paused: true, mode: '5-or-6-parts' });
  return (after) => cron.nextRun(new Date(after))?.getTime() ?? null;
}

function intervalTicks({ everyMs, anchorMs }: Exclude<DraftPattern, string>): NextTick {
  if (!(everyMs >= 1_000)) throw new Error(messages.schedules.intervalTooShort);
  return (after) => anchorMs + Math.max(0, Math.floor((after - anchorMs) / everyMs) + 1) * everyMs;
}
