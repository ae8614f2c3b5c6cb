/** Errors come by the thousand in a world, and nobody reads their stacks: making those took a third of the time. */
export function withoutStacks(): void {
  const { stackTraceLimit } = Error;
  beforeAll(() => void (Error.stackTraceLimit = 0));
  afterAll(() => void (Error.stackTraceLimit = stackTraceLimit));
}
