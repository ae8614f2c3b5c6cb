/**
 * Of what several runs have measured, for each measure and contender the rows of those runs in which most others stood beside it:
 * a machine is not as quick in one run as in another.
 *
 * @param {import('./table.mjs').Row[]} rows
 */
export function sideBySide(rows) {
  /** @type {Map<string, Set<string>>} */
  const beside = new Map();
  const placeOf = (/** @type {import('./table.mjs').Row} */ { measure, run }) => `${measure} ${run}`;
  for (const row of rows) {
    const place = placeOf(row);
    beside.set(place, (beside.get(place) ?? new Set()).add(row.contender));
  }
  const countAt = (/** @type {import('./table.mjs').Row} */ row) => Number(beside.get(placeOf(row))?.size);
  return rows.filter((row) =>
    rows
      .filter(({ measure, contender }) => measure === row.measure && contender === row.contender)
      .every((other) => countAt(other) <= countAt(row)),
  );
}
