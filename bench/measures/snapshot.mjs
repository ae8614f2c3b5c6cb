import { drain } from './drain.mjs';

/** The backlog is looked at in so many pieces. */
const PIECES = 12;

/**
 * A drain beside a session that has looked at the database once and keeps that view: the server may remove no dead row
 * meanwhile, nor its index entries. The value is the rate of the last twelfth, as a share of that of the first.
 *
 * @param {import('./index.mjs').Stand} stand
 * @param {{ count: number }} input
 */
export async function snapshot(stand, { count }) {
  const figure = await drain(stand, { count, markEvery: Math.floor(count / PIECES), holdSnapshot: true });
  const marks = [0, .../** @type {number[]} */ (figure.marksMs)];
  const rates = marks.slice(1).map((mark, index) => (count / PIECES / (mark - Number(marks[index]))) * 1_000);
  return { ...figure, value: Number(rates.at(-1)) / Number(rates[0]), rates };
}
