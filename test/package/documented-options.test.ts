import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import type { JobsOptions } from '../../lib/core/options.js';
import { OPTIONS, readJobsOptions } from '../../lib/core/options.js';
import { readMarkdownTable } from '../support/unit/markdown-table.js';

const GUIDE = readFileSync(join(__dirname, '../../docs/guide/configuration.md'), 'utf8');
const ROWS = readMarkdownTable(GUIDE, ['option', 'default', 'takes', 'meaning']);

/** Options of the Nest module, which the queue does not receive. */
const MODULE_OPTIONS = ['isGlobal'];

describe('docs/guide/configuration.md', () => {
  it('has one row per option, in the order of the code', () => {
    const names = [...new Set(ROWS.map(({ option }) => option.split('.')[0]!))];

    expect(names.filter((name) => !MODULE_OPTIONS.includes(name))).toEqual(Object.keys(OPTIONS));
  });

  it('lists the actual defaults', () => {
    const given: Record<string, unknown> = {};
    for (const { option, default: written } of ROWS.filter((row) => !MODULE_OPTIONS.includes(row.option))) {
      const [name, part] = option.split('.') as [string, string?];
      given[name] = part === undefined ? valueOf(written) : { ...(given[name] as object), [part]: valueOf(written) };
    }

    expect(readJobsOptions(given as JobsOptions)).toEqual(readJobsOptions());
  });

  it('describes the accepted values and the meaning of each option', () => {
    expect(ROWS.every(({ takes, meaning }) => takes !== '' && meaning !== '')).toBe(true);
  });
});

/** Evaluates a cell of the column `default`: a JavaScript literal, or undefined for prose. */
function valueOf(cell: string): unknown {
  const isLiteral = /^['{[\d]|^(true|false)$/.test(cell);
  return isLiteral ? runInNewContext(`(${/^[\d,]+$/.test(cell) ? cell.replaceAll(',', '') : cell})`) : undefined;
}
