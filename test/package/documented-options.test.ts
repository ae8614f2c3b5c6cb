import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { HTTP_OPTIONS } from '../../lib/core/http-options.js';
import { OPTIONS } from '../../lib/core/options.js';
import { UI_OPTIONS } from '../../lib/core/ui-options.js';
import { parseDuration } from '../../lib/core/duration.js';
import { readMarkdownTable } from '../support/unit/markdown-table.js';

const PAGE = readFileSync(join(__dirname, '../../docs/reference/options.md'), 'utf8');
/** The first table of the page: the options of the module. */
const ROWS = readMarkdownTable(PAGE, ['option', 'type', 'meaning']);

/** Options of the Nest module, which the queue does not receive. */
const MODULE_OPTIONS = ['isGlobal'];

describe('docs/reference/options.md', () => {
  it('has one row per option', () => {
    const names = ROWS.map(({ option }) => option.split('.')[0]!).filter((name) => !MODULE_OPTIONS.includes(name));

    expect([...new Set(names)].sort()).toEqual(Object.keys(OPTIONS).sort());
  });

  it.each(ROWS.flatMap(({ option, meaning }) => writtenDefaults(option, meaning)))(
    'states the actual default of %s',
    (option, written) => {
      const actual = defaultOf(option);
      const value = evaluate(written);
      const expected = typeof actual === 'number' ? parseDuration(value) : value;

      expect(actual).toEqual(expected);
    },
  );
});

/** The literal after "Default" in a docstring. None where the default is prose, or an object. */
function writtenDefaults(option: string, meaning: string): [string, string][] {
  const [, code, number] = /Default (?:`('[^`]*'|true|false)`|([\d,]+))/.exec(meaning) ?? [];
  const isOfTheQueue = !MODULE_OPTIONS.includes(option) && !option.startsWith('telemetry.');
  const text = code ?? number?.replaceAll(',', '');
  return text !== undefined && isOfTheQueue ? [[option, text]] : [];
}

function defaultOf(option: string): unknown {
  const [name, member] = option.split('.') as [keyof typeof OPTIONS, string?];
  if (member === undefined) return OPTIONS[name].default;
  const tables = { http: HTTP_OPTIONS, ui: UI_OPTIONS } as Readonly<
    Record<string, Readonly<Record<string, { readonly default: unknown }>>>
  >;
  const values = OPTIONS[name].default as Readonly<Record<string, unknown>>;
  return tables[name] ? tables[name][member]!.default : (values[member] ?? values[`${member}Ms`]);
}

function evaluate(written: string): unknown {
  return runInNewContext(`(${written})`);
}
