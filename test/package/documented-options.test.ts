import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import type { JobsOptions } from '../../lib/core/options.js';
import { OPTIONS, readJobsOptions } from '../../lib/core/options.js';
import { markdownTable } from '../support/unit/markdown-table.js';

const GUIDE = readFileSync(join(__dirname, '../../docs/guide/configuration.md'), 'utf8');
const ROWS = markdownTable(GUIDE, ['option', 'default', 'takes', 'meaning']);

/** The module's own, which the queue never sees. */
const MODULE_OPTIONS = ['isGlobal'];

describe('docs/guide/configuration.md', () => {
  it('has a row for each option, in the order of the code, and none for another', () => {
    const names = [...new Set(ROWS.map(({ option }) => option.split('.')[0]!))];

    expect(names.filter((name) => !MODULE_OPTIONS.includes(name))).toEqual(Object.keys(OPTIONS));
  });

  it('names the defaults that hold when an option is left out', () => {
    const given: Record<string, unknown> = {};
    for (const { option, default: written } of ROWS.filter((row) => !MODULE_OPTIONS.includes(row.option))) {
      const [name, part] = option.split('.') as [string, string?];
      given[name] = part === undefined ? valueOf(written) : { ...(given[name] as object), [part]: valueOf(written) };
    }

    expect(readJobsOptions(given as JobsOptions)).toEqual(readJobsOptions());
  });

  it('says of each option what it takes and what it means', () => {
    expect(ROWS.every(({ takes, meaning }) => takes !== '' && meaning !== '')).toBe(true);
  });
});

/** What a cell of the column `default` means to the code: a literal of JavaScript, or nothing when it is prose. */
function valueOf(cell: string): unknown {
  const isLiteral = /^['{[\d]|^(true|false)$/.test(cell);
  return isLiteral ? runInNewContext(`(${/^[\d,]+$/.test(cell) ? cell.replaceAll(',', '') : cell})`) : undefined;
}
