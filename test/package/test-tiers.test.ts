import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Part } from '../support/tiers.cjs';
import lists from '../support/tier-files.cjs';
import { files, isSelected, ROOT, tiers } from '../support/tiers.cjs';

const { TITLES_FIRST, ...filesOf } = lists;

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

const readText = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** Whether the file itself asks for more seeds or rows in the matrix. */
function isLarger(file: string): boolean {
  return /import \{ isMatrix \}/.test(readText(file));
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
      for (const file of files.filter((name) => !isLarger(name))) {
        const mine = partsOf(file, typeorm);
        for (const title of file.startsWith('test/http/') ? httpTitles : titles) {
          const runs = mine.filter((part) => isSelected(part, file, title)).length;
          if (runs > 1) wrong.push(`${file}: '${title}' runs ${runs} times`);
        }
      }
      expect(wrong).toEqual([]);
    },
  );

  it('run in both tiers each file that grows in the matrix', () => {
    const once = files.filter((file) => isLarger(file) && partsOf(file, 'typeorm').length !== 2);
    expect(once).toEqual([]);
  });

  it('name in `.ci/run` each part of the matrix once', () => {
    const script = readFileSync(join(ROOT, '.ci/run'), 'utf8');
    const named = [...script.matchAll(/^ +'(.*)'$/gm)].flatMap(([, parts]) => parts!.split('|'));
    expect(named.sort()).toEqual(tiers.matrix.map(({ name }) => name).sort());
  });

  it('run in `npm test` some tests of each file that uses a browser', () => {
    const unnamed = files.filter(
      (file) =>
        file.startsWith('test/ui/') &&
        readText(file).includes('usePages()') &&
        !(file in TITLES_FIRST) &&
        !filesOf.MATRIX_FILES.includes(file),
    );
    expect(unnamed).toEqual([]);
    const missing = Object.entries(TITLES_FIRST)
      .filter(([file]) => file.startsWith('test/ui/'))
      .flatMap(([file, titles]) => titles.filter((title) => !readText(file).includes(title)));
    expect(missing).toEqual([]);
  });

  it('name only files and folders that exist', () => {
    const entries = [...Object.keys(TITLES_FIRST), ...Object.values(filesOf).flat()];
    const stale = entries.filter((entry) => !files.some((file) => file.startsWith(entry)));
    expect(stale).toEqual([]);
  });
});
