import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { newerNodes } from '../compat/support/nodes.js';
import { readMarkdownTable } from '../support/unit/markdown-table.js';

const read = (path: string): string => readFileSync(join(__dirname, '../..', path), 'utf8');

const manifest = JSON.parse(read('package.json')) as {
  readonly engines: { readonly node: string };
  readonly peerDependencies: Readonly<Record<string, string>>;
};

const COLUMNS = ['', 'accepted', 'every test runs on', 'an installed application runs on'] as const;
const GUIDE = readMarkdownTable(read('docs/guide/versions-and-modules.md'), COLUMNS);

/** Parses `^11.0.0 || ^12.0.0` to 11, 12 and `^0.3.0` to 0.3. */
function majors(range: string): string[] {
  return Array.from(range.matchAll(/\^(0\.\d+|\d+)/g), ([, major]) => major!);
}

function guide(name: string): (typeof GUIDE)[number] {
  return GUIDE.find((row) => row[''] === name)!;
}

/** Returns the cell of this release in the readme's table. */
function readme(name: string): string {
  return new RegExp(`^\\| ${name} \\| ([^|]+) \\|`, 'm').exec(read('README.md'))![1]!;
}

describe('the versions in the readme and in the guide', () => {
  it.each([
    ['NestJS', '@nestjs/common'],
    ['NestJS', '@nestjs/core'],
    ['NestJS', '@nestjs/typeorm'],
    ['TypeORM', 'typeorm'],
  ])('of %s match the peer dependency %s', (name, peer) => {
    const expected = majors(manifest.peerDependencies[peer]!);
    expect(numbersIn(guide(name).accepted)).toEqual(expected);
    expect(numbersIn(readme(name))).toEqual(expected);
  });

  it('of better-sqlite3 match the peer dependency', () => {
    const expected = majors(manifest.peerDependencies['better-sqlite3']!);
    expect(numbersIn(guide('better-sqlite3').accepted)).toEqual(expected);
    // The first number is part of the name SQLite.
    expect(numbersIn(readme('SQLite')).slice(1, 3)).toEqual(expected);
  });

  it('of Node match the engines field and the Nodes that run the tests', () => {
    const accepted = `${manifest.engines.node.match(/\d+\.\d+/g)!.join(', ')} and newer`;
    const others = newerNodes.map((node) => node.replace('Node ', ''));
    const tested = `20, ${others.slice(0, -1).join(', ')} and ${others.at(-1)}`;
    expect(guide('Node').accepted).toBe(accepted);
    expect(guide('Node')['an installed application runs on']).toBe(tested);
    expect(readme('Node')).toBe(`${accepted}; tested on ${tested}`);
  });
});

/** Parses `0.3 and 1.x` to 0.3, 1. */
function numbersIn(cell: string): string[] {
  return cell.match(/\d+(\.\d+)?/g) ?? [];
}
