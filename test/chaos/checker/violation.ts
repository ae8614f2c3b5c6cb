/** The promises, each in a word. */
export const promises = [
  'lost',
  'double',
  'half done',
  'overlap',
  'move',
  'early',
  'overrun',
  'stuck',
  'dead',
  'deaf',
  'error',
  'limit',
  'rate',
  'version',
] as const;

export type Promised = (typeof promises)[number];

/** A promise that was broken, and for which job or process. */
export interface Violation {
  readonly promise: Promised;
  readonly detail: string;
}
