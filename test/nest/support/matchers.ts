/** Matchers of Jest without the type `any`, which would disable type checks around them. */

/** Matches any instance of a class, or any primitive of a wrapper type: `some(Number)`. */
export const some = (type: unknown): unknown => expect.any(type);

/** Matches text that contains this part. */
export const textWith = (part: string): unknown => expect.stringContaining(part);

/** Matches text of this form. */
export const textLike = (form: string | RegExp): unknown => expect.stringMatching(form);
