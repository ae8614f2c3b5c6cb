// Compiles every TypeScript code block of the documentation.
//
// A block that imports something is whole: nothing else is in its scope. A relative import leads to a block of the same page
// that calls itself so in its first line (`// mail.jobs.ts`), to a file beside the page, or to docs/stage/. A block without
// imports is a fragment, which sees what docs/stage/surroundings.ts takes for granted.
//
// Readers paste classes and programs into their applications, so these blocks are whole: a class has its imports, and code for Nest
// does not await at its top, because applications of Nest 11 are CommonJS.
import { readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';
import { codeBlocksOf } from './code-blocks.cjs';

/** @typedef {import('./code-blocks.cjs').CodeBlock} CodeBlock */
/** @typedef {{ block: CodeBlock, text: string, isWhole: boolean }} Source */

const ROOT = resolve(import.meta.dirname, '..');
const STAGE = join(ROOT, 'docs/stage');

const LANGUAGES = ['ts', 'typescript', 'mts', 'cts', 'tsx'];

const options = readOptions();
const blocks = pages().flatMap(codeBlocksOf);
const sources = new Map(blocks.filter(({ language }) => LANGUAGES.includes(language)).map(sourceOf));
const host = hostOf(sources);
/** Both programs ask for the same thousands of imports. */
const resolutions = ts.createModuleResolutionCache(ROOT, (path) => path, options);
const problems = [...[true, false].flatMap(compile), ...[...sources.values()].flatMap(findUnpastable)];

problems.forEach((problem) => console.error(problem));
const pageCount = new Set([...sources.values()].map(({ block }) => block.page)).size;
console.log(`${sources.size} code blocks of ${pageCount} pages, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;

/** @returns {string[]} */
function pages() {
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  const root = readdirSync(ROOT, { encoding: 'utf8' });
  return [...root, ...docs.map((path) => join('docs', path))]
    .filter((path) => path.endsWith('.md'))
    .sort()
    .map((path) => join(ROOT, path));
}

/**
 * The repository's own rules, with the module system in which examples may await at their top, and with what browsers have.
 *
 * @returns {ts.CompilerOptions}
 */
function readOptions() {
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, ROOT);
  return {
    ...options,
    lib: [...(options.lib ?? []), 'lib.dom.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    strictPropertyInitialization: false,
    // Applications may be stricter than this repository.
    exactOptionalPropertyTypes: true,
  };
}

/**
 * A block as a file, in a folder that has the name of its page.
 *
 * @param {CodeBlock} block
 * @returns {[string, Source]}
 */
function sourceOf(block) {
  const isWhole = /^\s*import\s/m.test(block.code);
  const path = join(block.page, block.file ?? `line-${block.line}.ts`);
  return [path, { block, text: `${block.code}\nexport {};`, isWhole }];
}

/**
 * @param {Source} source
 * @returns {string[]}
 */
function findUnpastable({ block, isWhole }) {
  const { statements } = ts.createSourceFile('block.ts', block.code, ts.ScriptTarget.Latest);
  const place = `${relative(ROOT, block.page)}:${block.line}`;
  if (!isWhole) {
    return statements.some(ts.isClassDeclaration)
      ? [`${place} a class needs its imports, so that it can be pasted`]
      : [];
  }
  const isForNest = /from '(@nestjs\/.+|nestjs-jobs|nestjs-jobs\/testing)'/.test(block.code);
  return isForNest && statements.some(awaits) ? [`${place} awaits at its top, which CommonJS does not allow`] : [];
}

/**
 * @param {ts.Node} node
 * @returns {boolean}
 */
function awaits(node) {
  if (ts.isFunctionLike(node)) return false;
  const isAwait = ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined);
  return isAwait || (ts.forEachChild(node, awaits) ?? false);
}

/**
 * The files of the disk, and the blocks beside them. Files are parsed once for both programs.
 *
 * @param {Map<string, Source>} sources
 * @returns {ts.CompilerHost}
 */
function hostOf(sources) {
  const disk = ts.createCompilerHost(options, true);
  const folders = new Set([...sources.keys()].map((path) => dirname(path)));
  /** @type {Map<string, ts.SourceFile | undefined>} */
  const parsed = new Map();
  /** @type {ts.CompilerHost} */
  const host = {
    ...disk,
    fileExists: (path) => sources.has(path) || disk.fileExists(path),
    directoryExists: (path) => folders.has(path) || disk.directoryExists?.(path) === true,
    readFile: (path) => sources.get(path)?.text ?? disk.readFile(path),
    getSourceFile: (path, languageVersion) => {
      if (!parsed.has(path)) {
        const text = host.readFile(path);
        parsed.set(path, text === undefined ? text : ts.createSourceFile(path, text, languageVersion, true));
      }
      return parsed.get(path);
    },
    resolveModuleNameLiterals: (literals, from) =>
      literals.map(({ text }) => ({ resolvedModule: moduleOf(text, from) })),
  };
  return host;
}

/**
 * @param {string} name
 * @param {string} from
 */
function moduleOf(name, from) {
  const page = sources.get(from)?.block.page;
  const folder = dirname(from);
  const beside = page && name.startsWith('.') ? [join(dirname(page), relative(page, folder)), STAGE] : [];
  for (const place of [folder, ...beside]) {
    const found = ts.resolveModuleName(name, join(place, 'from.ts'), options, host, resolutions).resolvedModule;
    if (found) return found;
  }
  return undefined;
}

/**
 * @param {boolean} isWhole
 * @returns {string[]}
 */
function compile(isWhole) {
  const paths = [...sources].filter(([, source]) => source.isWhole === isWhole).map(([path]) => path);
  const stage = isWhole
    ? []
    : readdirSync(STAGE)
        .filter((name) => name.endsWith('.ts'))
        .map((name) => join(STAGE, name));
  const program = ts.createProgram([...paths, ...stage], options, host);
  // File by file: what the examples import is checked elsewhere.
  const diagnostics = [...paths, ...stage].flatMap((path) => {
    const file = program.getSourceFile(path);
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
  });
  return [...program.getOptionsDiagnostics(), ...diagnostics].map(describe);
}

/** @param {ts.Diagnostic} diagnostic */
function describe({ file, start, messageText }) {
  const message = ts.flattenDiagnosticMessageText(messageText, '\n  ');
  if (!file) return message;
  const { line, character } = file.getLineAndCharacterOfPosition(start ?? 0);
  const source = sources.get(file.fileName);
  const page = relative(ROOT, source?.block.page ?? file.fileName);
  return `${page}:${line + (source?.block.line ?? 1)}:${character + 1} ${message}`;
}
