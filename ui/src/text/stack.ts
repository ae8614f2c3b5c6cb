/** A stack trace as it is read: the application's own frames, then all others. */
export interface Stack {
  /** What is said of the cause that it is of; of the error itself nothing is. */
  readonly cause: string | undefined;
  readonly own: readonly string[];
  readonly foreign: readonly string[];
}

const CAUSE = /^\[cause\]: /m;
const FRAME = /^\s*at /;
/** Of packages, of Node, of this library where it is linked instead of installed, and of what has no place at all. */
const FOREIGN = /node_modules|dist[\\/](?:cjs|esm)[\\/]lib[\\/]|\(node:|at node:|<anonymous>\)?$|\(native\)/;

/** Of an error and of each of its causes. */
export function readStacks(text: string): Stack[] {
  return text.split(CAUSE).map((part, index) => {
    const lines = part.split('\n');
    const frames = lines.filter((line) => FRAME.test(line)).map((line) => line.trim());
    return {
      cause: index === 0 ? undefined : lines[0],
      own: frames.filter((frame) => !FOREIGN.test(frame)),
      foreign: frames.filter((frame) => FOREIGN.test(frame)),
    };
  });
}
