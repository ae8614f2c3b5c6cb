/** A stack trace as it is read: what was said, the application's own frames, then all others. */
export interface Stack {
  readonly own: readonly string[];
  readonly foreign: readonly string[];
}

const FRAME = /^\s*at /;
/** Of packages, of Node, of this library where it is linked instead of installed, and of what has no place at all. */
const FOREIGN = /node_modules|dist[\\/](?:cjs|esm)[\\/]lib[\\/]|\(node:|at node:|<anonymous>\)?$|\(native\)/;

export function readStack(text: string): Stack {
  const frames = text
    .split('\n')
    .filter((line) => FRAME.test(line))
    .map((line) => line.trim());
  return {
    own: frames.filter((frame) => !FOREIGN.test(frame)),
    foreign: frames.filter((frame) => FOREIGN.test(frame)),
  };
}
