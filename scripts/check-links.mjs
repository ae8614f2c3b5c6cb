// Follows every relative link of the documentation: to a file that is there, to a heading that is there. Each page of docs/ is
// linked from docs/README.md.
//
// A page of the package links only what the package contains, so that no link is dead in an installation. It names other files as
// code, such as `test/http/access.test.ts`; this script checks that these exist, too. Pictures are excepted: a reader of the package
// sees their descriptions.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const INDEX = join(ROOT, 'docs/README.md');

const pages = [ROOT, join(ROOT, 'docs')].flatMap(pagesOf);
const links = pages.flatMap((page) => linksOf(page).map((link) => ({ page, ...targetOf(page, link) })));
const packed = packedFiles();
const indexed = new Set(links.filter(({ page }) => page === INDEX).map(({ path }) => path));
const problems = [
  ...links
    .filter((link) => !leadsSomewhere(link))
    .map(({ page, link }) => `${relative(ROOT, page)}: ${link} leads nowhere`),
  ...pages
    .filter((page) => page.startsWith(dirname(INDEX)) && page !== INDEX && !indexed.has(page))
    .map((page) => `${relative(ROOT, INDEX)} does not link ${relative(ROOT, page)}`),
  ...links
    .filter(({ page, path, isPicture }) => packed.has(page) && !packed.has(path) && !isPicture)
    .map(({ page, link }) => `${relative(ROOT, page)}: the package does not contain ${link}; name it without a link`),
  ...pages.flatMap((page) =>
    namedTestsOf(page)
      .filter((path) => !existsSync(join(ROOT, path)))
      .map((path) => `${relative(ROOT, page)}: there is no ${path}`),
  ),
];

problems.forEach((problem) => console.error(problem));
console.log(`${links.length} links of ${pages.length} pages, ${problems.length} problems`);
process.exitCode = problems.length > 0 ? 1 : 0;

/** @param {string} folder */
function pagesOf(folder) {
  const paths = readdirSync(folder, { recursive: folder !== ROOT, encoding: 'utf8' });
  return paths.filter((path) => path.endsWith('.md')).map((path) => join(folder, path));
}

/** @param {string} page */
function linksOf(page) {
  const links = [...proseOf(page).matchAll(/(!?)\[[^\]]*\]\(([^()\s]+)\)/g)];
  return links
    .map(([, mark, link = '']) => ({ link, isPicture: mark === '!' }))
    .filter(({ link }) => !/^[a-z]+:/.test(link));
}

/** @param {string} page */
function namedTestsOf(page) {
  return [...proseOf(page).matchAll(/`(test\/[\w/.-]+\.test\.ts)`/g)].map(([, path = '']) => path);
}

/**
 * A page without its blocks of code.
 *
 * @param {string} page
 */
function proseOf(page) {
  return readFileSync(page, 'utf8').replace(/^(```|~~~).*?^\1/gms, '');
}

/**
 * @param {string} page
 * @param {{ link: string, isPicture: boolean }} link
 */
function targetOf(page, { link, isPicture }) {
  const [path = '', anchor] = link.split('#');
  return { link, path: path === '' ? page : join(dirname(page), path), anchor, isPicture };
}

function packedFiles() {
  const listing = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ files }] = /** @type {[{ files: { path: string }[] }]} */ (JSON.parse(listing));
  return new Set(files.map(({ path }) => join(ROOT, path)));
}

/** @param {{ path: string, anchor: string | undefined }} target */
function leadsSomewhere({ path, anchor }) {
  if (!existsSync(path)) return false;
  return anchor === undefined || (statSync(path).isFile() && anchorsOf(path).has(anchor));
}

/**
 * Headings become anchors as GitHub makes them: in lower case, without punctuation, with hyphens for spaces.
 *
 * @param {string} page
 */
function anchorsOf(page) {
  const text = readFileSync(page, 'utf8');
  const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id)]);
}
