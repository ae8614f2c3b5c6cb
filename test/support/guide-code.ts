import { join } from 'node:path';
import { transformSync } from '@swc/core';
import { defineJob } from 'nestjs-jobs';
import type { CodeBlock } from '../../scripts/code-blocks.cjs';
import { codeBlocksOf } from '../../scripts/code-blocks.cjs';

type Exports = Record<string, unknown>;

/** Names that fragments use without an import. */
const surroundings = { defineJob };

/** Runs the code of a page of the documentation. */
export class GuideCode {
  private readonly blocks: CodeBlock[];
  private readonly loaded = new Map<CodeBlock, Exports>();

  /** @param page its name, such as `guide/enqueueing.md` */
  constructor(page: string) {
    this.blocks = codeBlocksOf(join(__dirname, '../../docs', page));
  }

  /** Returns the exports of the block that defines this class or function. */
  exportOf<T>(name: string): T {
    const isMeant = ({ code }: CodeBlock): boolean => new RegExp(`export .*\\b${name}\\b`).test(code);
    return this.load(this.blocks.find(isMeant)!)[name] as T;
  }

  /** Runs the block that contains this text, in an async function that sees `values` by name. */
  async run(text: string, values: Readonly<Record<string, unknown>>): Promise<void> {
    const { code, ...block } = this.blocks.find((each) => each.code.includes(text))!;
    const names = Object.keys(values).join(', ');
    const wrapped = { ...block, code: `export const run = async (${names}) => {\n${code}\n};` };
    await (this.load(wrapped).run as (...args: unknown[]) => Promise<void>)(...Object.values(values));
  }

  private load(block: CodeBlock): Exports {
    const known = this.loaded.get(block);
    if (known) {
      return known;
    }
    const exports: Exports = {};
    this.loaded.set(block, exports);
    const { code } = transformSync(block.code, {
      module: { type: 'commonjs' },
      jsc: {
        target: 'es2022',
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
      },
    });
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the test runs the code of the guide
    const run = new Function('exports', 'require', ...Object.keys(surroundings), code) as (
      ...values: unknown[]
    ) => void;
    run(exports, (specifier: string) => this.import(specifier), ...Object.values(surroundings));
    return exports;
  }

  /** Loads another block of the page by its file name, or a package. */
  import(specifier: string): unknown {
    const file = /^\.\/(.+)\.js$/.exec(specifier)?.[1];
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- as the compiled block does
    return file ? this.load(this.blocks.find((block) => block.file === `${file}.ts`)!) : require(specifier);
  }
}
