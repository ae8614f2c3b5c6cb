import fc from 'fast-check';

/** Arbitrary UTF-16 text with frequent NULs and lone and paired surrogates. */
export const anyText: fc.Arbitrary<string> = fc
  .array(fc.oneof(fc.nat({ max: 0xffff }), fc.constantFrom(0, 0x61, 0xd83d, 0xde00, 0xdfff, 0xe9, 0x20ac)))
  .map((units) => String.fromCharCode(...units));
