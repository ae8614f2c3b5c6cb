/** Returns what `act` throws. */
export function captureThrown(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('expected an exception, none came');
}
