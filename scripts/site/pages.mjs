// Copies the pages of the documentation to .site/, where VitePress builds the site: the same tree, with each README as the index of its
// folder, the API reference from the docstrings, and what programs read: llms.txt and the plain Markdown of each page.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { Application } from 'typedoc';

export const ROOT = resolve(import.meta.dirname, '../..');
export const SITE = join(ROOT, '.site');

/** The address below which the site is served, such as `/nestjs-jobs/`. */
export const BASE = process.env.SITE_BASE ?? '/';

const ENTRIES = ['lib/index.ts', 'client/index.ts', 'lib/testing/index.ts', 'lib/telemetry/index.ts'];

/** @typedef {{ text: string, link: string }} PageLink */
/** @typedef {{ text: string, pages: PageLink[] }} Section */

/** The sections of docs/README.md with the pages that they link, in this order. @returns {Section[]} */
export function readSections() {
  const index = readFileSync(join(ROOT, 'docs/README.md'), 'utf8');
  return index
    .split(/^## /m)
    .slice(1)
    .map((part) => ({
      text: part.slice(0, part.indexOf('\n')),
      pages: [...part.matchAll(/^\| \[([^\]]+)\]\(([^)#]+\.md)\)/gm)].map(([, text = '', link = '']) => ({
        text,
        link,
      })),
    }));
}

export async function writePages() {
  rmSync(SITE, { recursive: true, force: true });
  const names = readdirSync(ROOT).filter((name) => name.endsWith('.md'));
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  const pages = [...names, ...docs.filter((name) => name.endsWith('.md')).map((name) => join('docs', name))];
  pages.forEach(writePage);
  writeFileSync(join(SITE, 'LICENSE.md'), `# Licence\n\n${readFileSync(join(ROOT, 'LICENSE'), 'utf8')}`);
  for (const folder of ['images', 'plots'])
    cpSync(join(ROOT, 'docs', folder), join(SITE, 'docs', folder), { recursive: true });
  cpSync(join(ROOT, 'docs/guide/jobs-dashboard.json'), join(SITE, 'public/docs/guide/jobs-dashboard.json'));
  writeFileSync(join(SITE, 'public/llms.txt'), describeForPrograms());
  await writeApi();
  writeConfig();
}

/** Also without VitePress's changes, for programs. @param {string} path */
export function writePage(path) {
  const text = readFileSync(join(ROOT, path), 'utf8').replaceAll('](LICENSE)', '](LICENSE.md)');
  write(join('public', path), text);
  write(toSitePath(path), text.replace(/(\]\([^)\s]*)README\.md/g, '$1index.md'));
}

/** @param {string} path */
function toSitePath(path) {
  return path.replace(/README\.md$/, 'index.md');
}

/** @param {string} path @param {string} text */
function write(path, text) {
  const file = join(SITE, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** As https://llmstxt.org describes: what this is, and where the pages are. */
function describeForPrograms() {
  const { name, description } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const sections = readSections().map(({ text, pages }) => {
    const lines = pages.map((page) => `- [${page.text}](${posix.join(BASE, 'docs', page.link)})`);
    return `## ${text}\n\n${lines.join('\n')}\n`;
  });
  return [`# ${name}\n`, `> ${description}\n`, 'Each page is plain Markdown.\n', ...sections].join('\n');
}

async function writeApi() {
  const application = await Application.bootstrapWithPlugins({
    entryPoints: ENTRIES.map((path) => join(ROOT, path)),
    tsconfig: join(ROOT, 'tsconfig.cjs.json'),
    plugin: ['typedoc-plugin-markdown'],
    name: 'API reference',
    // Without it, TypeDoc replaces the folder docs/.
    out: join(SITE, 'docs/api'),
    readme: 'none',
    excludePrivate: true,
    excludeInternal: true,
    excludeExternals: true,
    disableSources: true,
    githubPages: false,
    validation: false,
    logLevel: 'Error',
    ...{ router: 'module', entryFileName: 'index', hidePageHeader: true, useHTMLAnchors: true, hideBreadcrumbs: true },
  });
  const project = await application.convert();
  if (!project) throw new Error('TypeDoc could not read the types');
  await application.generateOutputs(project);
}

/** VitePress looks for its configuration below its root. */
function writeConfig() {
  const config = relative(join(SITE, '.vitepress'), join(ROOT, 'scripts/site/config.mjs'));
  write('.vitepress/config.mjs', `export { default } from './${config}';\n`);
}
