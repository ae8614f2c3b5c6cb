import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VERSION } from '../../lib/core/version.js';

it('VERSION is the version of package.json', () => {
  const manifest = readFileSync(join(__dirname, '../../package.json'), 'utf8');
  expect(VERSION).toBe((JSON.parse(manifest) as { version: string }).version);
});
