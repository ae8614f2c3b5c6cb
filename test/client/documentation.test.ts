import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const ROOT = join(__dirname, '../..');
const GUIDE = readFileSync(join(ROOT, 'docs/client.md'), 'utf8');
const EXAMPLES = Array.from(GUIDE.matchAll(/^```ts\n(.*?)^```/gms), (match) => match[1]!);

/** Compiles each example as its own file, for a browser and for Node, and returns the errors. */
function complaints(): string[] {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (path) => readFileSync(path, 'utf8')) as {
    config: object;
  };
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, ROOT);
  Object.assign(options, { lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'], types: ['node'] });

  // Some examples import others by a name.
  const nameOf = (code: string, index: number): string => /^\/\/ (\S+)/.exec(code)?.[1] ?? `client-${index + 1}.mts`;
  const files = new Map(EXAMPLES.map((code, index) => [join(ROOT, 'docs', nameOf(code, index)), code]));
  const host = ts.createCompilerHost(options);
  const system = { ...host };
  host.fileExists = (path) => files.has(path) || system.fileExists(path);
  host.readFile = (path) => files.get(path) ?? system.readFile(path);
  host.getSourceFile = (path, target, ...rest) => {
    const code = files.get(path);
    return code === undefined ? system.getSourceFile(path, target, ...rest) : ts.createSourceFile(path, code, target);
  };

  return ts
    .getPreEmitDiagnostics(ts.createProgram([...files.keys()], options, host))
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
}

describe('docs/client.md', () => {
  it('contains only examples that compile', () => {
    expect(EXAMPLES.length).toBeGreaterThanOrEqual(5);
    expect(complaints()).toEqual([]);
  });
});
