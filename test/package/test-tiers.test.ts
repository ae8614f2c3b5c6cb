import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Part } from '../support/tiers.cjs';
import { files, isSelected, readTags, ROOT, tagsOf, tiers } from '../support/tiers.cjs';

const databases = ['PostgreSQL 18', 'PostgreSQL 15', 'a SQLite file', 'SQLite in memory', 'a SQLite file with sqlite3'];
const titles = ['a title without a database', ...databases.map((label) => `claim on ${label}`)];
const httpTitles = ['Express', 'Fastify'].flatMap((adapter) => [
  `access on ${adapter}`,
  ...databases.map((label) => `routes on ${adapter} with ${label}`),
]);

const parts = [...tiers.test, ...tiers.matrix];

function partsOf(file: string, typeorm: Part['typeorm']): Part[] {
  return parts.filter((part) => part.typeorm === typeorm && !part.isOnNest11 && part.files.includes(file));
}

describe('the tiers of the tests', () => {
  it('run each test file', () => {
    expect(files.length).toBeGreaterThan(200);
    expect(files.filter((file) => !parts.some((part) => part.files.includes(file)))).toEqual([]);
  });

  it.each(['typeorm', 'typeorm-0.3'] as const)(
    'run each test once with %s, unless it grows in the matrix',
    (typeorm) => {
      const wrong: string[] = [];
      for (const file of files.filter((name) => !tagsOf(name).isLarger)) {
        const mine = partsOf(file, typeorm);
        for (const title of file.startsWith('test/http/') ? httpTitles : titles) {
          for (const isQuick of [false, tagsOf(file).hasQuickTests]) {
            const runs = mine.filter((part) => isSelected(part, file, title, isQuick)).length;
            if (runs > 1) wrong.push(`${file}: '${title}' runs ${runs} times`);
          }
        }
      }
      expect(wrong).toEqual([]);
    },
  );

  it('run in both tiers each file that grows in the matrix', () => {
    const once = files.filter((file) => tagsOf(file).isLarger && partsOf(file, 'typeorm').length !== 2);
    expect(once).toEqual([]);
  });

  it('name in `.ci/run` each part of the matrix once', () => {
    const script = readFileSync(join(ROOT, '.ci/run'), 'utf8');
    const named = [...script.matchAll(/^ +'(.*)'$/gm)].flatMap(([, parts]) => parts!.split('|'));
    expect(named.sort()).toEqual(tiers.matrix.map(({ name }) => name).sort());
  });

  it('run only quick tests in `npm test` of each file that uses a browser', () => {
    const inBrowser = files.filter(
      (file) => file.startsWith('test/ui/') && readFileSync(join(ROOT, file), 'utf8').includes('usePages()'),
    );
    expect(inBrowser.filter((file) => tagsOf(file).where.all !== 'matrix')).toEqual([]);
    expect(inBrowser.filter((file) => !tagsOf(file).hasQuickTests)).toEqual(['test/ui/accessibility.test.ts']);
  });

  it.each([
    ['/** @martix all */', "unknown tag '@martix all'"],
    ['/** @matrix */', "unknown tag '@matrix'"],
    ['/**\n * @slow\n * @never postgres-18, sqlit\n */', "unknown name 'sqlit' after '@never'"],
    ['/** @matrix postgres-15 */', "'@matrix postgres-15' changes nothing"],
    ["import '../a.js';\n/** @matrix all */", 'a tag must stand in a comment at the top of the file'],
  ])('reject %j with the name of the file', (text, reason) => {
    expect(() => readTags('test/core/a.test.ts', text)).toThrow(`test/core/a.test.ts: ${reason}`);
  });
});
