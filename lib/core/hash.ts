/** Hashes a text with FNV-1a, to 32 bits with a sign. Fast, but not cryptographic: anyone can find a text with a given hash. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash;
}
