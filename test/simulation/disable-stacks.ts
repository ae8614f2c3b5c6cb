/** A world creates thousands of errors. Their stacks are not read, and took a third of the time. */
export function disableStacks(): void {
  const { stackTraceLimit } = Error;
  beforeAll(() => void (Error.stackTraceLimit = 0));
  afterAll(() => void (Error.stackTraceLimit = stackTraceLimit));
}
