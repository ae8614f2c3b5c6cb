const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** Milliseconds between two jobs of a pace such as `50/m`; `NaN` if the text is none. */
export function parsePace(text: string): number {
  const [, jobs, unit] = /^([1-9]\d{0,5})\/([smh])$/.exec(text) ?? [];
  return unit === undefined ? NaN : UNITS_MS[unit as keyof typeof UNITS_MS] / Number(jobs);
}
