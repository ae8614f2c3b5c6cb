// Follows every relative link of the documentation: to a file that is there, to a heading that is there. Each page of docs/ is
// linked from docs/README.md.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const INDEX = join(ROOT, 'docs/README.md');

const pages = [ROOT, join(ROOT, 'docs')].flatMap(pagesOf);
const links = pages.flatMap((page) => linksOf(page).map((link) => ({ page, ...targetOf(page, link) })));
const indexed = new Set(links.filter(({ page }) => page === INDEX).map(({ path }) => path));
const problems = [
  ...links
    .filter((link) => !leadsSomewhere(link))
    .map(({ page, link }) => `${relative(ROOT, page)}: ${link} leads nowhere`),
  ...pages
    .filter((page) => page.startsWith(dirname(INDEX)) && page !== INDEX && !indexed.has(page))
    .map((page) => `${relative(ROOT, INDEX)} does not link ${relative(ROOT, page)}`),
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
  const text = readFileSync(page, 'utf8').replace(/^(```|~~~).*?^\1/gms, '');
  return [...text.matchAll(/\]\(([^()\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !/^[a-z]+:/.test(link));
}

/**
 * @param {string} page
 * @param {string} link
 */
function targetOf(page, link) {
  const [path = '', anchor] = link.split('#');
  return { link, path: path === '' ? page : join(dirname(page), path), anchor };
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
