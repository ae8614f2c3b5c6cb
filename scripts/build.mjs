// Builds the package into dist/: CommonJS for `require`, ES modules for `import`, the types of both, and the admin UI.
// From scratch, unless `--if-needed` is given: then only what has changed since.
//
// An installation has to stay small. So there are no source maps: each file of code has the name and the order of its source.
// Comments are in the types that an entry of package.json re-exports, not in the code and in other types. Types that no entry reaches are
// left out.
// The entries of the ES modules re-export the types of the CommonJS build.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

const require = createRequire(import.meta.url);
const BUILDS = ['cjs', 'esm'];
/** Where the compiler writes, with all types and comments. It compiles again only what has changed. */
const COMPILED = 'node_modules/.cache/build';

process.chdir(new URL('..', import.meta.url).pathname);
if (!process.argv.includes('--if-needed')) {
  for (const folder of ['dist', COMPILED]) rmSync(folder, { recursive: true, force: true });
}
buildCode();
if (!isUiUpToDate()) buildUi();

function buildCode() {
  const tsc = require.resolve('typescript/bin/tsc');
  const projects = BUILDS.map((build) => `tsconfig.${build}.json`);
  execFileSync(process.execPath, [tsc, '--build', ...projects], { stdio: 'inherit' });

  const entries = listTypeEntries();
  const typeEntries = entries.filter((path) => path.startsWith('cjs'));
  const types = [...findTypes(typeEntries, importsOf)];
  const documented = findTypes(typeEntries, reExportsOf);
  const reExports = entries.filter((path) => path.startsWith('esm'));
  const code = BUILDS.flatMap((build) => listModules(build).map((module) => join(build, `${module}.js`)));
  // The compiler leaves out CommonJS files, which are the same in both builds.
  const others = filesIn('lib').filter((path) => path.endsWith('.cjs'));
  const copies = BUILDS.flatMap((build) => others.map((path) => join('dist', build, path)));
  // The package itself names no type, so Node would read the .js files of this folder as CommonJS.
  const esmManifest = join('dist/esm/package.json');

  code.filter(isChanged).forEach(copyCode);
  types.filter(isChanged).forEach((path) => copyTypes(path, documented.has(path)));
  BUILDS.forEach((build) => others.forEach((path) => copyFileSync(path, join('dist', build, path))));
  writeFileSync(esmManifest, '{ "type": "module" }\n');
  reExports.forEach(writeReExport);

  // What an earlier build has made of sources that are gone.
  const made = [...code, ...types, ...reExports].map((path) => join('dist', path));
  const shipped = new Set([...made, ...copies, esmManifest]);
  const built = BUILDS.flatMap((build) => filesIn(join('dist', build)));
  built.filter((file) => !shipped.has(file)).forEach((file) => rmSync(file));
}

/**
 * The sources of a build, without their endings.
 * @param {string} build
 */
function listModules(build) {
  const { config } = ts.readConfigFile(`tsconfig.${build}.json`, ts.sys.readFile);
  const { fileNames } = ts.parseJsonConfigFileContent(
    config,
    ts.sys,
    process.cwd(),
    undefined,
    `tsconfig.${build}.json`,
  );
  return fileNames.filter((path) => path.endsWith('.ts')).map((path) => relative('.', path).slice(0, -'.ts'.length));
}

/** The types of the entries of package.json, such as `esm/client/index.d.ts`. */
function listTypeEntries() {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
  const paths = [...JSON.stringify(exports).matchAll(/"\.\/dist\/([^"]+\.d\.ts)"/g)].map(([, path = '']) => join(path));
  return [...new Set(paths)];
}

/**
 * The entries, and the types to which they lead directly or through others.
 * @param {string[]} entries
 * @param {(path: string) => string[]} next
 */
function findTypes(entries, next) {
  /** @type {Set<string>} */
  const found = new Set();
  /** @param {string} path */
  const follow = (path) => {
    if (found.has(path)) return;
    found.add(path);
    next(path).forEach(follow);
  };
  entries.forEach(follow);
  return found;
}

/**
 * The types of this package that these types import.
 * @param {string} path
 */
function importsOf(path) {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(COMPILED, path), 'utf8'), true, true);
  return importedFiles.flatMap(({ fileName }) => typesNamed(fileName, path));
}

/**
 * The types of this package that these types re-export.
 * @param {string} path
 */
function reExportsOf(path) {
  return readTypes(path).statements.flatMap((statement) => {
    const target = ts.isExportDeclaration(statement) ? statement.moduleSpecifier : undefined;
    return target && ts.isStringLiteral(target) ? typesNamed(target.text, path) : [];
  });
}

/**
 * @param {string} name as in the import
 * @param {string} path of the types that import it
 */
function typesNamed(name, path) {
  return name.startsWith('.') ? [join(dirname(path), name.replace(/\.js$/, '.d.ts'))] : [];
}

/** @param {string} path */
function readTypes(path) {
  return ts.createSourceFile(path, readFileSync(join(COMPILED, path), 'utf8'), ts.ScriptTarget.ESNext);
}

/**
 * @param {string} path
 * @param {boolean} isDocumented whether to keep the comments
 */
function copyTypes(path, isDocumented) {
  const types = readTypes(path);
  const text =
    isDocumented || types.text.includes('@ts-ignore')
      ? types.text
      : ts.createPrinter({ removeComments: true }).printFile(types);
  mkdirSync(dirname(join('dist', path)), { recursive: true });
  writeFileSync(join('dist', path), text);
}

/**
 * Writes the types of an entry of the ES modules.
 * @param {string} path
 */
function writeReExport(path) {
  const original = relative(dirname(path), path.replace('esm', 'cjs')).replace(/\.d\.ts$/, '.js');
  writeFileSync(join('dist', path), `export * from '${original.replaceAll('\\', '/')}';\n`);
}

/** @param {string} path */
function isChanged(path) {
  const target = join('dist', path);
  return !existsSync(target) || statSync(target).mtimeMs < statSync(join(COMPILED, path)).mtimeMs;
}

/**
 * Copies code without its comments, indented with tabs.
 * @param {string} path
 */
function copyCode(path) {
  const compilerOptions = { removeComments: true, target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.Preserve };
  const text = readFileSync(join(COMPILED, path), 'utf8');
  mkdirSync(dirname(join('dist', path)), { recursive: true });
  const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: path });
  writeFileSync(join('dist', path), indentWithTabs(outputText));
}

/**
 * Replaces four spaces at the start of a line by a tab, except inside texts of several lines.
 * @param {string} code
 */
function indentWithTabs(code) {
  const file = ts.createSourceFile('code.js', code, ts.ScriptTarget.ESNext);
  /** @type {Set<number>} */
  const lines = new Set(file.getLineStarts());
  /** @param {ts.Node} node */
  const visit = (node) => {
    if (ts.isTemplateLiteralToken(node)) {
      for (const start of file.getLineStarts())
        if (start > node.getStart(file) && start < node.end) lines.delete(start);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return code.replace(/^(?: {4})+/gm, (spaces, start) => (lines.has(start) ? '\t'.repeat(spaces.length / 4) : spaces));
}

/** @param {string} folder */
function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function buildUi() {
  const vite = resolve(require.resolve('vite/package.json'), '../bin/vite.js');
  execFileSync(process.execPath, [vite, 'build', '--config', 'ui/vite.config.mjs', '--logLevel', 'warn'], {
    stdio: 'inherit',
    // A test run has another one, which would build what developers debug: slower, and a fifth larger.
    env: { ...process.env, NODE_ENV: 'production' },
  });
}

/** Whether nothing that it is made of is newer. */
function isUiUpToDate() {
  const page = 'dist/ui/index.html';
  const sources = ['ui', 'client'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
  );
  const newest = Math.max(...[...sources, 'package-lock.json'].map((path) => statSync(path).mtimeMs));
  return existsSync(page) && statSync(page).mtimeMs >= newest;
}
