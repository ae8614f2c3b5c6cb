/** Milliseconds of a clock that all processes of this machine share and that nobody sets. */
export function nowMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}
