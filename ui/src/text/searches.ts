/** Examples of what a search field takes, as the API reads it. `messages.jobs.searchExamples` says what each finds. */
export const SEARCHES = [
  { q: 'receipt', name: 'word' },
  { q: 'orderId:7', name: 'member' },
  { q: 'customer.email:ann@example.org', name: 'path' },
  { q: 'name:"Ann Lee"', name: 'quoted' },
  { q: 'unique:order-7', name: 'unique' },
  { q: '019b3f5e-7b5a-7000-8000-5f2d4c1e9a10', name: 'id' },
] as const;

/** The same where the API searches no payloads. */
export const SEARCHES_WITHOUT_PAYLOADS = [
  { q: 'timeout', name: 'wordLess' },
  { q: '019b3f5e-7b5a-7000-8000-5f2d4c1e9a10', name: 'id' },
] as const;
