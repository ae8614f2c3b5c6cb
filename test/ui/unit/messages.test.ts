import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'svelte/compiler';
import { en } from '../../../ui/src/messages/en.js';
import { zhCn } from '../../../ui/src/messages/zh-cn.js';

const ROOT = join(__dirname, '../../../ui/src');
const FILES = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(?:svelte|ts)$/.test(file) && !file.startsWith('messages'))
  .sort();

/** Attributes, parameters of components and properties in code whose texts the user sees. */
const SHOWN_NAMES = [
  ...['aria-label', 'aria-description', 'aria-roledescription', 'title', 'placeholder', 'alt', 'label', 'text', 'hint'],
  ...['verb', 'meaning', 'advice', 'detail', 'complaint', 'wrong'],
];
/** Methods whose arguments the user sees. */
const SHOWING_METHODS = ['say', 'complain', 'ask'];

/** Literals of files that are no language. */
const ALLOWED: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  // Each language has its own name for itself.
  'data/language.svelte.ts': ['English', '简体中文'],
  'data/schedule-draft.ts': ['UTC'],
  'data/session.svelte.ts': ['Date', 'GET'],
  'parts/help-dialog.svelte': ['Ctrl K'],
  'parts/top-bar.svelte': [/Ctrl K/],
  'parts/search-dialog.svelte': ['Enter'],
  'data/shortcuts.svelte.ts': [/^input:not/],
  // The command and the code that the user copies.
  'data/snippets.ts': [/^curl /, /^-H /, /^await jobs\.enqueue\($/],
  'data/theme.svelte.ts': ['(prefers-color-scheme: dark)'],
  'parts/icon.svelte': [/^[Mm]\d[\d\s.,MLHVZCSAmlhvzcsa-]*$/],
  'parts/job-listing.svelte': ['Enter', 'tr[data-id] a.open'],
  'parts/plot.ts': ['11px system-ui, sans-serif', 'Etc/UTC'],
  'parts/skeleton.svelte': ['px'],
  'parts/schedule-actions.svelte': ['button quiet icon small'],
  'parts/schedule-dialog.svelte': ['UTC', /^jitter start_at /],
  'parts/topics-table.svelte': ['max-width: 720px'],
  'route/router.svelte.ts': ['main, dialog'],
  'screens/overview.svelte': ['max-width: 720px'],
  'text/amount.ts': ['KiB', 'MiB'],
  // Words of cron patterns.
  'text/pattern-words.ts': [/^JAN FEB /, /^SUN MON /, 'UTC'],
  // What the API reads.
  'text/searches.ts': ['name:"Ann Lee"'],
  'text/time-zone.ts': ['UTC'],
  'text/zone-time.ts': ['UTC'],
};

/** A node of a component or of its code. */
interface Node {
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Finds texts that belong in the message files. */
class TextFinder {
  readonly texts: string[] = [];

  private readonly visitors: Readonly<Record<string, (node: Node, isShown: boolean) => void>> = {
    Text: ({ data }) => this.check(data as string, true),
    Attribute: ({ name, value }) => name !== 'class' && this.visitAttribute(name as string, value),
    ExpressionTag: ({ expression }) => this.visit(expression as Node, true),
    Literal: ({ value }, isShown) => typeof value === 'string' && this.check(value, isShown),
    TemplateLiteral: ({ quasis, expressions }, isShown) => {
      const parts = (quasis as { value: { cooked: string } }[]).map(({ value }) => value.cooked);
      const isSentence = parts.some((part) => /\s\p{L}{2}|\p{L}{2}\s/u.test(part));
      for (const part of parts) this.check(part, isShown || isSentence);
      this.visitAll(expressions, isShown);
    },
    Property: ({ key, value }) => this.visit(value as Node, SHOWN_NAMES.includes(toName(key))),
    VariableDeclarator: ({ id, init }) => {
      // A sample of code that the page shows.
      if (isNode(init) && toName(id) !== 'CODE') this.visit(init);
    },
    ConditionalExpression: ({ test, consequent, alternate }, isShown) => {
      this.visit(test as Node);
      this.visitAll([consequent, alternate], isShown);
    },
    LogicalExpression: ({ left, right }, isShown) => this.visitAll([left, right], isShown),
    BinaryExpression: ({ operator, left, right }, isShown) => {
      const isComparison = /^[!=]==$/.test(operator as string);
      this.visitAll(
        isComparison ? [left, right].filter((side) => (side as Node).type !== 'Literal') : [left, right],
        isShown,
      );
    },
    ArrowFunctionExpression: ({ params, body }, isShown) => {
      this.visitAll(params);
      this.visit(body as Node, isShown);
    },
    CallExpression: ({ callee, arguments: values }) => {
      this.visit(callee as Node);
      this.visitAll(values, SHOWING_METHODS.includes(toName((callee as Node).property)));
    },
    SwitchCase: ({ consequent }) => this.visitAll(consequent),
    ExportNamedDeclaration: ({ declaration }) => this.visitAll(declaration),
  };

  private static readonly SKIPPED = [
    'Comment',
    'StyleSheet',
    'ImportDeclaration',
    'ImportExpression',
    'ExportAllDeclaration',
  ];

  /** @param isShown whether the user sees the value: then a single word is a text, too */
  visit(node: Node, isShown = false): void {
    const { type } = node;
    const isType = type.startsWith('TS') && !type.endsWith('Expression');
    if (isType || TextFinder.SKIPPED.includes(type)) return;
    if (type in this.visitors) this.visitors[type]!(node, isShown);
    else for (const value of Object.values(node)) this.visitAll(value, isShown && type.startsWith('TS'));
  }

  private visitAll(nodes: unknown, isShown = false): void {
    for (const each of [nodes].flat()) if (isNode(each)) this.visit(each, isShown);
  }

  private visitAttribute(name: string, value: unknown): void {
    const isShown = SHOWN_NAMES.includes(name);
    for (const part of [value].flat().filter(isNode)) {
      if (part.type === 'ExpressionTag') this.visit(part.expression as Node, isShown);
      else if (isShown) this.visit(part);
    }
  }

  private check(text: string, isShown: boolean): void {
    const isText = isShown
      ? /\p{L}{2}|\p{Script=Han}/u.test(text)
      : /\p{L}\S* +\S*\p{L}|^\P{L}*\p{Lu}\p{L}|\p{Script=Han}/u.test(text);
    if (isText) this.texts.push(text.trim());
  }
}

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && 'type' in value;

/** The name of an identifier, or the text of a quoted key. */
const toName = (node: unknown): string => (isNode(node) ? String(node.name ?? node.value) : '');

function findTexts(file: string, source: string): string[] {
  const finder = new TextFinder();
  const component = file.endsWith('.svelte') ? source : `<script lang="ts">${source}</script>`;
  finder.visit(parse(component, { modern: true }) as unknown as Node);
  const allowed = ALLOWED[file] ?? [];
  return finder.texts.filter(
    (text) => !allowed.some((each) => (typeof each === 'string' ? each === text : each.test(text))),
  );
}

describe('texts of the admin UI outside the message files', () => {
  it.each(FILES)('are found in %s, and there is none', (file) => {
    const source = readFileSync(join(ROOT, file), 'utf8');
    const planted = file.endsWith('.svelte') ? '<p>planted</p>' : "export const planted = 'a planted text';";
    expect(findTexts(file, source + planted)).toEqual([expect.stringContaining('planted')]);
  });

  it.each([
    '<b>word</b>',
    '<b title="word"></b>',
    '<b aria-label={isOn ? "word" : undefined}></b>',
    '<Part label="word" />',
    '<Part label={`word ${a}`} />',
    '{isOn ? "word" : ""}',
    '{name || "word"}',
    '<b>{count} word</b>',
    '<script>const a = "Word";</script>',
    '<script>const a = () => `${b} word`;</script>',
    '<script>const a = { text: "word" };</script>',
    '<script>notices.say("word");</script>',
    '<script lang="ts">const a = { b: "Word" } as const satisfies C;</script>',
    '<script module>export const a = "任务";</script>',
  ])('are found in %s', (component) => {
    expect(findTexts('planted.svelte', component)).toEqual([expect.stringMatching(/word|任务/i)]);
  });

  it.each(['<b class="word"></b>', '<a href="a b">{a === "Word"}</a>', '<script>import a from "A";</script>'])(
    'are not %s',
    (component) => {
      expect(findTexts('planted.svelte', component)).toEqual([]);
    },
  );
});

type Text = string | ((...values: unknown[]) => string);

/** Names that no language translates. */
const NAMES = ['job.id', 'job.formats.json', 'job.formats.curl', 'schedules.sources.api'];

/** Lists the texts by their path, such as `frame.title`. */
function listTexts(section: object, path = ''): Map<string, Text> {
  return new Map(
    Object.entries(section).flatMap(([name, value]) =>
      typeof value === 'object' ? [...listTexts(value as object, `${path}${name}.`)] : [[path + name, value as Text]],
    ),
  );
}

/** Stands for a number, a text and a list of texts. */
const ANY_VALUE = Object.assign(['7'], { valueOf: () => 7 });

/** Parameters of texts that take one of some names. */
const CHOSEN: Readonly<Record<string, string[]>> = {
  'job.waiting': ['paused', '7'],
  'job.failed': ['lease_lost', '7'],
};

/** What both languages must contain: `code`, [links] and {names}. */
const markupOf = (text: string): string[] => (text.match(/`[^`]+`|\{\w+\}|\[/g) ?? []).sort();

describe('the message files', () => {
  const english = listTexts(en);
  const chinese = listTexts(zhCn);

  function read(texts: ReadonlyMap<string, Text>, path: string): string {
    const text = texts.get(path)!;
    if (typeof text === 'string') return text;
    return text(...(CHOSEN[path] ?? Array.from({ length: text.length }, () => ANY_VALUE)));
  }

  const countParameters = (text: Text | undefined): number => (typeof text === 'function' ? text.length : 0);

  it('have the same texts', () => {
    expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort());
  });

  it.each([...english.keys()])('translate %s', (path) => {
    const [one, other] = [english.get(path), chinese.get(path)];
    expect(typeof other).toBe(typeof one);
    expect(countParameters(other)).toBe(countParameters(one));
    const [text, translation] = [read(english, path), read(chinese, path)];
    expect(markupOf(translation)).toEqual(markupOf(text));
    expect(text).not.toMatch(/^\s*$|\p{Script=Han}/u);
    // A text of values and punctuation alone has no word to translate.
    expect(NAMES.includes(path) ? '名' : translation).toMatch(/\p{Script=Han}|^\P{L}+$/u);
  });

  it('have only texts that the UI shows', () => {
    const code = FILES.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
    const names = new Set([...code.matchAll(/\b\w+\b/g)].map(([word]) => word));
    const unused = [...english.keys()].filter(
      (path) =>
        !path
          .split('.')
          .slice(0, 2)
          .every((name) => names.has(name)),
    );
    expect(unused).toEqual([]);
  });

  it('know why the API skips jobs of a bulk action', () => {
    const source = readFileSync(join(ROOT, '../../lib/engine/changes/bulk-actions.ts'), 'utf8');
    expect(Object.keys(en.bulk.reasons).filter((reason) => !source.includes(`'${reason}'`))).toEqual([]);
  });
});
