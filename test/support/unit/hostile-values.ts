const fails = (): never => {
  throw new Error('hostile');
};

/** A proxy on which every operation throws. */
export function revokedProxy(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

/** Several errors in one, itself the first of them. */
function circularAggregate(): AggregateError {
  const error = new AggregateError([]);
  error.errors.push(error);
  return error;
}

/** Values that throw when they are read, with a description. */
export const HOSTILE_VALUES: readonly (readonly [string, unknown])[] = [
  ['a revoked proxy', revokedProxy()],
  ['a proxy whose traps throw', new Proxy({}, { get: fails, getPrototypeOf: fails, ownKeys: fails, has: fails })],
  ['an object whose getters throw', Object.defineProperties({}, { message: { get: fails }, stack: { get: fails } })],
  ['an object whose toString throws', { toString: fails, valueOf: fails, [Symbol.toPrimitive]: fails }],
  ['an error whose message throws', Object.defineProperty(new Error('once'), 'message', { get: fails })],
  ['an error whose stack throws', Object.defineProperty(new Error('once'), 'stack', { get: fails })],
  [
    'an error whose message is an object that throws',
    Object.assign(new Error('once'), { message: { toString: fails } }),
  ],
  ['an error that consists of itself', circularAggregate()],
  ['an object without a prototype', Object.create(null)],
];
