/** Who sends a request. */
export type Caller =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'user'; readonly id: string }
  | { readonly kind: 'admin'; readonly id: string };

export const ANONYMOUS: Caller = Object.freeze({ kind: 'anonymous' });

/** An administrator of whom nothing else is known. */
export const ADMINISTRATOR: Caller = Object.freeze({ kind: 'admin', id: '' });

/** What a rule decides about: to enqueue; to read; to re-queue, promote, cancel and delete. */
export type Right = 'enqueue' | 'read' | 'manage';

/** What somebody wants to do; `any`: to ask what is allowed, which whoever may do something may ask. */
export type AccessKind = Right | 'any';
