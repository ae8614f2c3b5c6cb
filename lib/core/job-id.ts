/** The id as the database writes it, or `undefined` when no job can have it. */
export function normalJobId(id: unknown): string | undefined {
  return typeof id === 'string' && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)
    ? id.toLowerCase()
    : undefined;
}
