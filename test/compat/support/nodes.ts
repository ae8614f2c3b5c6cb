import { cp, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { npm } from './npm.js';

const NEWER = join(__dirname, '../newer-node');

export type NewerNode = 'Node 22' | 'Node 24' | 'Node 26';

export const newerNodes: readonly NewerNode[] = ['Node 22', 'Node 24', 'Node 26'];

/** The Node versions that run these tests. */
export const everyNode: readonly (NewerNode | 'this Node')[] = ['this Node', ...newerNodes];

/** Returns the path of each Node's binary. */
export type PathOfNode = (node: (typeof everyNode)[number]) => string;

/**
 * Installs the newer versions in a folder of the test run: as dependencies of this repository they would replace the `node`
 * of every npm script.
 */
export async function installNodes(): Promise<PathOfNode> {
  const folder = await mkdtemp(join(tmpdir(), 'newer-node-'));
  await cp(NEWER, folder, { recursive: true });
  await npm(folder, 'ci');

  const machine = `${process.platform}-${process.arch}`;
  return (node) =>
    node === 'this Node'
      ? process.execPath
      : join(folder, 'node_modules', `${node.toLowerCase().replace(' ', '-')}-${machine}`, 'bin/node');
}
