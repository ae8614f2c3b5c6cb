/** Jest's own, without the type `any` that would silence the compiler around them. */

/** Anything of a class, or of a primitive type by its wrapper: `some(Number)`. */
export const some = (type: unknown): unknown => expect.any(type);

/** Text with this part in it. */
export const textWith = (part: string): unknown => expect.stringContaining(part);

/** Text of this form. */
export const textLike = (form: string | RegExp): unknown => expect.stringMatching(form);
