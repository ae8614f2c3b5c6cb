/** Hashes a text with FNV-1a, to 32 bits with a sign. Fast, and not secret: who sees the hash can find a text that has it. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash;
}
