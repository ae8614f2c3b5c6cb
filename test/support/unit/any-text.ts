import fc from 'fast-check';

/** Any UTF-16 units at all, with NUL, lone and paired surrogates among them more often than chance gives. */
export const anyText: fc.Arbitrary<string> = fc
  .array(fc.oneof(fc.nat({ max: 0xffff }), fc.constantFrom(0, 0x61, 0xd83d, 0xde00, 0xdfff, 0xe9, 0x20ac)))
  .map((units) => String.fromCharCode(...units));
