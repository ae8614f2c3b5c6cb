/** What `act` throws, for tests that look at more than its message. */
export function captureThrown(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('expected an exception, none came');
}
